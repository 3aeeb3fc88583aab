//! The built program, by its requests.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestbook"));
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("it says where").to_owned();
        Self { child, url: format!("{url}/entries") }
    }

    fn post(&self, body: &Value) -> (u16, Value) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut answer = agent.post(&self.url).send_json(body).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn get(&self, query: &str) -> Value {
        let mut answer = ureq::get(format!("{}{query}", self.url)).call().unwrap();
        answer.body_mut().read_json().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Stopping it is a `kill -9`, so what is there afterwards was on the disk.
#[test]
fn what_was_signed_is_there_also_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("new");
    let served = Served::start(&data);
    assert_eq!(served.get(""), json!([]));
    for (id, guest) in [(1, "ada"), (2, "bob"), (3, "ada")] {
        let (status, entry) = served.post(&json!({"guest": guest, "text": "I was here"}));
        assert_eq!((status, &entry["id"]), (201, &json!(id)));
    }
    drop(served);
    let served = Served::start(&data);
    let entries = served.get("?after=1&limit=1");
    assert_eq!(entries, json!([{"id": 2, "guest": "bob", "text": "I was here"}]));
    assert_eq!(served.get("").as_array().unwrap().len(), 3);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path());
    for (body, expected) in [
        (json!({"guest": " ", "text": "t"}), 422),
        (json!({"guest": "g", "text": "t".repeat(10_001)}), 422),
        (json!({"guest": "g"}), 422),
        (json!({"guest": "g", "text": "t", "more": 1}), 422),
        (json!([]), 422),
    ] {
        assert_eq!(served.post(&body).0, expected, "{body}");
    }
    assert_eq!(served.get(""), json!([]));
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestbook"));
    let output = command.args(["--listen", "127.0.0.1:0", "--data"]).arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&file.display().to_string()) && said.lines().count() == 1, "{said}");
}
