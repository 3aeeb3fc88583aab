//! The built program, in its short form: every row comes, with a figure. What the figures are is not tested.
#![allow(clippy::unwrap_used)] // a helper of tests, which clippy takes to be outside of them

use std::{collections::BTreeSet, process::Command};

#[test]
fn the_benchmark_of_the_log_runs_with_every_row() {
    let expected = [
        "append",
        "flat",
        "latency",
        "latency-p50",
        "latency-p99",
        "read",
        "read-passed",
        "read-stream",
        "read-stream-warm",
        "recover",
        "recover-warm",
        "stall",
    ];
    check_rows("log", &expected);
}

#[test]
fn the_benchmark_of_projections_runs_with_every_row() {
    let expected = [
        "beside-full",
        "beside-throttled",
        "parked",
        "parked-visible",
        "rebuild",
        "rebuild-many",
        "rebuild-three",
        "visible",
        "visible-idle",
    ];
    check_rows("projections", &expected);
}

fn check_rows(bench: &str, expected: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kronika-bench"));
    let output =
        command.args([bench, "--quick", "--json"]).current_dir(&directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut seen = BTreeSet::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["figure"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["against"].is_null() || row["ratio"].as_f64().unwrap() > 0.0, "{row}");
        seen.insert(row["bench"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "files are left behind");
}

#[test]
fn wrong_use_is_told_with_its_own_code() {
    let check = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_kronika-bench")).args(arguments).output();
        assert_eq!(run.unwrap().status.code(), Some(2), "{arguments:?}");
    };
    check(&["nothing"]);
    check(&["log", "--rows", "nothing"]);
    check(&["projections", "--rows", "nothing"]);
    check(&["commands", "--callers", "0"]);
}
