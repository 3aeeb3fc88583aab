//! A second process that opens the directory is refused at once, and told who holds it; also where the first one is
//! stopped. What a process held is free when it is killed.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

use kronika_log::{Log, OpenError, Settings};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const DIRECTORY: &str = "KRONIKA_LOG_HELD_DIRECTORY";
const TEST: &str = "a_second_process_is_refused_at_once_and_told_who_holds_the_directory";
/// The best of so many tries is measured: other work on the machine is not the log's.
const TRIES: usize = 5;
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

fn open(directory: &Path) -> Result<Log, OpenError> {
    Log::open(&directory.join("journal"), Settings::small())
}

/// Holds the directory until it is killed. Only a child process of the test does so.
fn hold(directory: &str) {
    let _log = open(Path::new(directory)).unwrap();
    println!("open");
    // The test never closes its end.
    std::io::stdin().lines().for_each(drop);
}

#[track_caller]
fn refused(directory: &Path, holder: u32, what: &str) {
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let begun = Instant::now();
        let error = open(directory).unwrap_err();
        took.push(begun.elapsed());
        let found =
            matches!(&error, OpenError::InUse { holder: Some(found), .. } if *found == holder);
        assert!(found, "{error}");
        assert!(error.to_string().ends_with(&format!("is in use by process {holder}")), "{error}");
    }
    eprintln!("refused beside {what} in {took:?}");
    assert!(*took.iter().min().unwrap() < REFUSED_WITHIN, "{took:?}");
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_second_process_is_refused_at_once_and_told_who_holds_the_directory() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return hold(&directory);
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("open")), "the first process opened it");
    refused(directory.path(), child.id(), "a process");
    signal(child.id(), "-STOP");
    refused(directory.path(), child.id(), "a process that is stopped");
    signal(child.id(), "-CONT");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open(directory.path()).unwrap());
}
