//! What the tests stand on: the binary, lines to import, and directories.

use serde_json::Value;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Far beyond what anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// The binary, told nothing by the environment of the tests.
pub fn kronika(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kronika"));
    command.env_remove("KRONIKA_DATA").args(arguments).stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    kronika(arguments).output().unwrap()
}

/// Runs with an input. The process may refuse before it has read all of it.
pub fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = kronika(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// It was done: gives what it printed.
#[track_caller]
pub fn done(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// It was done, and printed one JSON object on one line.
#[track_caller]
pub fn json(output: &Output) -> Value {
    let text = done(output);
    assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// It was done, and printed one JSON object a line.
#[track_caller]
pub fn objects(output: &Output) -> Vec<Value> {
    done(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// It could not be done: exit code 1, nothing on standard output, and one line that says why. Gives the line.
#[track_caller]
pub fn refusal(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    complaint(output)
}

/// Exit code 1, and one line that says why.
#[track_caller]
pub fn complaint(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = error.strip_prefix("kronika: ").and_then(|error| error.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("not one line after `kronika: `: {error:?}"));
    assert!(!line.contains('\n'), "more than one line: {error}");
    line.to_owned()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Directories with room beside each other.
pub struct Room(TempDir);

impl Room {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path in it, as text.
    pub fn at(&self, name: &str) -> String {
        text(&self.path(name)).to_owned()
    }

    /// A data directory with so many events, two an append, over ten streams.
    pub fn filled(&self, name: &str, events: u64) -> String {
        let data = self.at(name);
        let imported =
            json(&run_with(&["import", "--data", &data, "--json"], lines(0, events).as_bytes()));
        assert_eq!(imported["events"], events);
        data
    }
}

/// Lines of events from one on to another, two an append.
pub fn lines(from: u64, to: u64) -> String {
    (from..to).map(line).collect()
}

/// The line of the event of that number.
pub fn line(number: u64) -> String {
    let (append, index) = (number / 2, number % 2);
    let (stream, version) = (append % 10, append / 10 * 2 + index + 1);
    format!(
        "{{\"version\":{version},\"stream\":\"order/{stream}\",\"name\":\"{}\",\"body\":{{\"number\":{number}}},\
         \"append\":{{\"id\":\"{:x}0000\",\"events\":2,\"index\":{index}}}}}\n",
        ["placed", "paid"][index as usize],
        append + 1
    )
}

/// Waits until something is so, looking again every millisecond.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "not within {LONG:?}: {what}");
        // What is waited for happens in another process, which wakes nobody here.
        thread::park_timeout(Duration::from_millis(1));
    }
}
