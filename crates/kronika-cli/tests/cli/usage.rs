//! What the command line takes, and what it teaches.

use crate::support::{Room, done, kronika, run};
use std::{fs::File, process::Stdio};

#[test]
fn wrong_use_is_told_from_what_could_not_be_done() {
    let check = |arguments: &[&str]| {
        let output = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty() && error.contains("--help"), "{arguments:?}: {error}");
    };
    check(&["--nonsense"]);
    check(&["nonsense"]);
    check(&["verify"]);
    check(&["verify", "--data"]);
    check(&["backup", "--data", "a"]);
    check(&["restore", "--data", "a"]);
    check(&["restore", "--data", "a", "--from", "b", "--position", "x"]);
    check(&["restore", "--data", "a", "--from", "b", "--time", "noon"]);
    check(&[
        "restore",
        "--data",
        "a",
        "--from",
        "b",
        "--position",
        "1",
        "--time",
        "2026-01-01T00:00:00Z",
    ]);
    check(&["export", "--data", "a", "--stream", "nothing"]);
    check(&["export", "--data", "a", "--type", "No"]);
    check(&["events", "--data", "a", "--limit", "0"]);
    check(&["events", "--data", "a", "no-stream"]);
    check(&["import", "--data", "a", "one", "two"]);
    check(&["projections", "--data", "a", "No"]);
    check(&["projections", "--data", "a", "one", "two"]);
    check(&["parked", "--data", "a"]);
    check(&["parked", "--data", "a", "totals", ""]);
    check(&["parked", "--data", "a", "totals", "--generation", "x"]);
    check(&["parked", "--data", "a", "totals", "--run", "1"]);
    check(&["acts", "--data", "a", "--limit", "0"]);
    let by = |arguments: &[&str]| {
        check(&[arguments, &["--data", "a", "--who", "ada", "--why", "to see"]].concat());
    };
    by(&["rebuild"]);
    by(&["rebuild", "totals", "--rate", "0"]);
    by(&["rebuild", "totals", "--wait", "--no-wait"]);
    by(&["switch", "totals", "--to", "1"]);
    by(&["pause", "totals", "--read-model", "1.0"]);
    by(&["throttle", "totals"]);
    by(&["throttle", "totals", "0"]);
    by(&["throttle", "totals", "fast"]);
    by(&["workers", "totals", "0"]);
    by(&["workers", "totals", "65"]);
    by(&["retry", "totals"]);
    by(&["retry", "totals", "3", "--all"]);
    by(&["drop-key", "totals"]);
    by(&["skip", "totals", "--all"]);
    check(&["pause", "--data", "a", "totals", "--who", "ada"]);
    check(&["pause", "--data", "a", "totals", "--who", "ada", "--why", " "]);
    check(&["pause", "--data", "a", "totals", "--who", "", "--why", "to see"]);
}

#[test]
fn help_teaches_with_examples() {
    let check = |arguments: &[&str], words: &[&str]| {
        let help = done(&run(arguments));
        words.iter().for_each(|word| assert!(help.contains(word), "{word} is not in {help}"));
    };
    let commands = [
        "verify",
        "backup",
        "restore",
        "export",
        "import",
        "stats",
        "events",
        "projections",
        "parked",
        "acts",
        "rebuild",
        "switch",
        "pause",
        "resume",
        "throttle",
        "workers",
        "drop",
        "retry",
        "skip",
        "drop-key",
    ];
    check(&["--help"], &[&commands[..], &["Examples:", "Exit codes: 0 done"]].concat());
    for command in commands {
        check(&[command, "--help"], &["Examples:", "--data", "KRONIKA_DATA"]);
    }
    check(&["restore", "--help"], &["--position", "--time", "new history"]);
    check(&["rebuild", "--help"], &["--hold", "--rate", "--no-wait", "--who", "next start"]);
    check(&["--version"], &[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let room = Room::new();
    let data = room.filled("data", 4_000);
    for command in ["verify", "stats", "export", "events"] {
        let arguments = [command, "--data", &data];
        let mut process = kronika(&arguments);
        let mut child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{command}");
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            let output = kronika(&arguments).stdout(full).output().unwrap();
            let line = crate::support::refusal(&output);
            assert!(line.contains("output cannot be written"), "{command}: {line}");
        }
    }
}

#[test]
fn the_directory_may_come_from_the_environment() {
    let room = Room::new();
    let data = room.filled("data", 2);
    let output = kronika(&["stats"]).env("KRONIKA_DATA", &data).output().unwrap();
    assert!(done(&output).contains("events     2"));
}
