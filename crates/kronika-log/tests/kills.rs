//! A real process is killed in the middle of its work, again and again: what it had acknowledged is there.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{Direction, Version};
use kronika_log::{Log, Settings};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

const DIRECTORY: &str = "KRONIKA_LOG_TEST_DIRECTORY";

/// Appends without end and tells each acknowledgement. Only a child process of the test below does so.
fn append_for_ever(directory: &str) {
    let log = Log::open(&Path::new(directory).join("journal"), Settings::small()).unwrap();
    let mut version = all_of(&log, "a", Direction::Forwards, 1000).len() as u64;
    let mut out = std::io::stdout();
    loop {
        let group = (0..3).map(|n| append("a", version + n, 1)).collect();
        for result in send(&log, group) {
            version = result.unwrap().version.get();
        }
        writeln!(out, "acknowledged {version}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return append_for_ever(&directory);
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_a_killed_process_acknowledged_is_there", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told =
            lines.filter_map(|line| line.unwrap().strip_prefix("acknowledged ")?.parse().ok());
        acknowledged = told.take(3 + 7 * round as usize).last().unwrap_or(acknowledged);
        child.kill().unwrap();
        child.wait().unwrap();
        let log = Log::open(&directory.path().join("journal"), Settings::small()).unwrap();
        let found = all_of(&log, "a", Direction::Forwards, 1000);
        assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged}", found.len());
        assert_eq!(found.len() % 3, 0, "a commit is there as a whole");
        assert_eq!(found.last().unwrap().version(), Version::new(found.len() as u64));
        assert_eq!(all_events(&log).len(), found.len());
    }
}
