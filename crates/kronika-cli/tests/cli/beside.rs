//! Beside a process that has the directory open: what only reads works, what needs it names the holder; and a
//! process that is killed is started again.

use crate::support::{Room, done, json, kronika, line, lines, refusal, run, run_with, until};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Stdio},
};

/// A process that has a directory open and records what it is told.
struct Writer {
    process: Child,
    input: ChildStdin,
}

impl Writer {
    fn start(data: &str) -> Self {
        let mut command = kronika(&["import", "--data", data]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let input = process.stdin.take().unwrap();
        Self { process, input }
    }

    /// Tells events and waits until they are durable.
    fn write(&mut self, data: &str, from: u64, to: u64) {
        self.input.write_all(lines(from, to).as_bytes()).unwrap();
        until("the events are recorded", || {
            let output = run(&["stats", "--data", data, "--json"]);
            output.status.success() && json(&output)["events"] == to
        });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

#[test]
fn what_only_reads_works_and_what_needs_the_directory_names_the_holder() {
    let room = Room::new();
    let (data, backup) = (room.at("data"), room.at("backup"));
    let mut writer = Writer::start(&data);
    writer.write(&data, 0, 30);
    let verified = json(&run(&["verify", "--data", &data, "--json"]));
    assert_eq!((&verified["sound"], &verified["in_use"]), (&true.into(), &true.into()));
    assert_eq!(json(&run(&["backup", "--data", &data, "--to", &backup, "--json"]))["head"], 30);
    let holder = format!("in use by process {}", writer.process.id());
    assert!(refusal(&run_with(&["import", "--data", &data], b"")).contains(&holder));
    let line = refusal(&run(&["backup", "--data", &backup, "--to", &data]));
    assert!(line.contains(&data), "{line}");
    let line = refusal(&run(&["restore", "--from", &backup, "--data", &data]));
    assert!(line.contains("not empty"), "{line}");
    writer.write(&data, 30, 50);
    assert_eq!(json(&run(&["backup", "--data", &data, "--to", &backup, "--json"]))["head"], 50);
    assert_eq!(
        done(&run(&["export", "--data", &backup])),
        done(&run(&["export", "--data", &data]))
    );
}

#[test]
fn events_are_followed_as_they_happen() {
    let room = Room::new();
    let data = room.at("data");
    let mut writer = Writer::start(&data);
    writer.write(&data, 0, 2);
    let follow = ["events", "--data", &data, "--follow", "--json", "--limit", "40"];
    let mut reader = kronika(&follow).stdout(Stdio::piped()).spawn().unwrap();
    let mut found = BufReader::new(reader.stdout.take().unwrap()).lines();
    for number in 0..40 {
        if number % 2 == 0 && number > 0 {
            writer.write(&data, number, number + 2);
        }
        let line: serde_json::Value =
            serde_json::from_str(&found.next().unwrap().unwrap()).unwrap();
        assert_eq!(
            (&line["position"], &line["body"]["number"]),
            (&(number + 1).into(), &number.into())
        );
    }
    assert!(found.next().is_none());
    assert!(reader.wait().unwrap().success());
}

#[test]
fn an_import_that_was_killed_is_started_again() {
    let room = Room::new();
    let data = room.at("data");
    let file = room.at("lines");
    fs::write(&file, lines(0, 3_000)).unwrap();
    for (from, to) in [(0, 700), (700, 1_600)] {
        let mut writer = Writer::start(&data);
        writer.write(&data, from, to);
        // It has read more, perhaps half of a line.
        let more = lines(to, to + 21);
        let _ = writer.input.write_all(&more.as_bytes()[..more.len() - 30]);
        drop(writer);
    }
    let imported = json(&run(&["import", "--data", &data, &file, "--json"]));
    let counted =
        imported["appends"].as_u64().unwrap() + imported["appends_skipped"].as_u64().unwrap();
    assert_eq!((counted, imported["head"].as_u64()), (1_500, Some(3_000)));
    assert!(imported["appends_skipped"].as_u64().unwrap() >= 800, "{imported}");
    let verified = json(&run(&["verify", "--data", &data, "--json"]));
    assert_eq!((&verified["sound"], &verified["events"]), (&true.into(), &3_000.into()));
    let exported = done(&run(&["export", "--data", &data, "--stream", "order/0"]));
    assert!(exported.lines().next().unwrap().contains("\"number\":0"), "{}", line(0));
}
