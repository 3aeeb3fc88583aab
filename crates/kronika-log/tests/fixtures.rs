//! Journals of format 1 as its first release wrote them, read by this one and by the second reader, which was written
//! from `docs/formats/log.md` alone. A fixture is never written again: what cannot be read any more is a bug.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use common::*;
use kronika_core::{
    AppendMore, Journal, ReadError, ReadStream, RecordedAppend, RecordedEvent, Slice, StreamId,
};
use kronika_log::{Log, OpenError, Settings};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const NAMES: [&str; 4] = ["empty", "rich", "torn", "headless"];
/// They end with a commit that a power cut tore.
const TORN: [&str; 2] = ["torn", "headless"];
const SEGMENT: &str = "00000001.segment";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name)
}

/// What was sent and acknowledged, in order.
fn expected(name: &str) -> Vec<Value> {
    json_lines(&fs::read(fixture(name).join("expected.jsonl")).unwrap())
}

fn json_lines(text: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A data directory with a copy of the fixture's journal.
fn copy(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("journal")).unwrap();
    for entry in fs::read_dir(fixture(name).join("journal")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join("journal").join(entry.file_name())).unwrap();
    }
    directory
}

fn open(directory: &Path) -> Result<Log, OpenError> {
    let settings =
        Settings { segment_bytes: 8192, first_segment_bytes: 8192, ..Settings::default() };
    Log::open(&directory.join("journal"), settings)
}

/// All that a log tells, in the form of the expected lines; but for claims, of which only the epochs can be read.
fn told(log: &Log, streams: &[StreamId]) -> (Vec<Value>, BTreeMap<StreamId, Vec<Value>>) {
    let events = all_events(log).iter().map(event_line).collect();
    let appends = streams.iter().map(|stream| {
        let read = ReadStream::forwards(stream.clone());
        let page = block_on(log.read_stream(read)).unwrap();
        assert_eq!(page.next, None, "a fixture's stream fits a page");
        (stream.clone(), page.appends.iter().map(append_line).collect())
    });
    (events, appends.collect())
}

fn event_line(event: &RecordedEvent) -> Value {
    let mut line = json!({
        "position": event.position, "stream": event.stream().name(), "version": event.version,
        "id": event.id.to_string(), "name": *event.name, "schema": event.schema,
        "time": event.time(), "body": raw(&event.body),
    });
    if !event.tags.is_empty() {
        line["tags"] = json!(event.tags);
    }
    if let Some(occurred) = event.occurred {
        line["occurred"] = json!(occurred);
    }
    if let Some(metadata) = &event.metadata {
        line["metadata"] = json!(metadata);
    }
    line
}

/// The position of an append without events cannot be told by what is read.
fn append_line(append: &RecordedAppend) -> Value {
    let header = &append.header;
    let mut line = json!({
        "append": header.id.to_string(), "stream": header.stream.name(), "expected": header.expected,
        "epoch": header.epoch, "time": header.time, "events": append.events.len(),
        "command": header.command,
    });
    if let Some(first) = append.events.first() {
        line["position"] = json!(first.position);
    }
    if let Some(more) = &header.more {
        line["more"] = more_line(more);
    }
    line
}

fn more_line(more: &AppendMore) -> Value {
    let mut line = json!({});
    if let Some(keyed) = &more.keyed {
        line["key"] = json!(keyed.key);
        line["fingerprint"] = json!(format!("{:032x}", keyed.fingerprint));
        line["reply"] = raw(&keyed.reply);
    }
    for (name, text) in [
        ("principal", &more.origin.principal),
        ("tenant", &more.origin.tenant),
        ("correlation", &more.origin.correlation),
        ("causation", &more.origin.causation),
        ("trace", &more.origin.trace),
        ("encryption_key", &more.encryption_key),
    ] {
        if let Some(text) = text {
            line[name] = json!(text);
        }
    }
    if let Some(body) = &more.command_body {
        line["command_body"] = raw(body);
    }
    for timer in &more.timers {
        let body = raw(&timer.body);
        let timer = json!({ "due": timer.due, "command": timer.command, "body": body });
        match line["timers"].as_array_mut() {
            Some(timers) => timers.push(timer),
            None => line["timers"] = json!([timer]),
        }
    }
    line
}

fn raw(bytes: &[u8]) -> Value {
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!({ "hex": hex() }))
}

/// Compares an open log with what is expected of its fixture.
fn compare(log: &Log, expected: &[Value]) {
    let has = |field: &'static str| expected.iter().filter(move |line| line.get(field).is_some());
    let mut appends = BTreeMap::<StreamId, Vec<Value>>::new();
    for line in has("append") {
        let stream = StreamId::parse(line["stream"].as_str().unwrap()).unwrap();
        let mut line = line.clone();
        if line["events"] == 0 {
            line.as_object_mut().unwrap().remove("position");
        }
        appends.entry(stream).or_default().push(line);
    }
    let streams = appends.keys().cloned().collect::<Vec<_>>();
    let events = has("version").cloned().collect::<Vec<_>>();
    assert_eq!(told(log, &streams), (events, appends));
    let mut epochs = vec![0; 1024];
    for claim in has("claim") {
        let bound = |at: usize| claim["claim"][at].as_u64().unwrap() as usize;
        epochs[bound(0)..=bound(1)].fill(claim["epoch"].as_u64().unwrap());
    }
    // Every slice that one of a few hundred streams falls into.
    for slice in (0..400).map(|n| Slice::of(&format!("account/{n}"))) {
        let epoch = block_on(log.epoch(slice)).unwrap();
        assert_eq!(epoch.get(), epochs[usize::from(slice.get())]);
    }
}

/// The second reader; `None` where there is no Python, which in CI is a failure.
fn second_reader(directory: &Path) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/read_log.py");
    match Command::new("python3").arg(script).arg(directory).arg("--all").output() {
        Ok(output) => Some(output),
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("not compared with the second reader: python3 cannot be started: {error}");
            None
        }
        Err(error) => panic!("python3 is needed: {error}"),
    }
}

/// The second reader finds it sound and tells the expected lines.
fn second_reader_agrees(directory: &Path, expected: &[Value]) {
    let Some(output) = second_reader(directory) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json_lines(&output.stdout), expected);
}

/// The second reader refuses it with these words.
fn second_reader_refuses(directory: &Path, words: &str) {
    let Some(output) = second_reader(directory) else { return };
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(words) && message.starts_with("segment 1 at offset "), "{message}");
}

#[test]
fn every_fixture_reads_as_it_was_written_and_goes_on() {
    for name in NAMES {
        let (directory, expected) = (copy(name), expected(name));
        let log = open(directory.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(&log, &expected);
        drop(log);
        // Opening healed what was torn, and changed nothing else.
        second_reader_agrees(directory.path(), &expected);
        let log = open(directory.path()).unwrap();
        let epoch = block_on(log.epoch(stream("new").slice())).unwrap();
        for version in 0..30 {
            send_one(&log, kronika_core::Append { epoch, ..append("new", version, 1) }).unwrap();
        }
        drop(log);
        let log = open(directory.path()).unwrap();
        let events = all_events(&log).iter().map(event_line).collect::<Vec<_>>();
        let before = expected.iter().filter(|line| line.get("version").is_some());
        assert!(events.iter().take(events.len() - 30).eq(before), "{name}");
        drop(log);
        if let Some(output) = second_reader(directory.path()) {
            assert!(output.status.success(), "{name}: {output:?}");
            assert_eq!(json_lines(&output.stdout).len(), expected.len() + 60);
        }
    }
}

#[test]
fn the_second_reader_tells_sound_from_torn() {
    for name in NAMES {
        let expected = expected(name);
        if !TORN.contains(&name) {
            second_reader_agrees(&fixture(name), &expected);
        } else if let Some(output) = second_reader(&fixture(name)) {
            second_reader_refuses(&fixture(name), "torn: ");
            assert_eq!(json_lines(&output.stdout), expected);
        }
    }
}

#[test]
fn both_readers_refuse_the_same_flips() {
    // One bit in every part of the file that is used, header, padding and space made ready included.
    let directory = copy("rich");
    let path = directory.path().join("journal").join(SEGMENT);
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..512).step_by(97).chain((4096..used).step_by(331)).chain([used]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let Err(error) = open(directory.path()) else { panic!("byte {at} passes") };
        assert!(matches!(error, OpenError::Damaged(_)), "byte {at}: {error}");
        second_reader_refuses(directory.path(), "damaged: ");
    }
}

#[test]
fn a_first_segment_that_is_too_small_for_the_first_commit_stays_empty() {
    let directory = tempfile::tempdir().unwrap();
    let large = || {
        let body = format!("\"{}\"", "x".repeat(9000));
        kronika_core::Append { events: vec![event(body)], ..append("large", 0, 0) }
    };
    let log = open(directory.path()).unwrap();
    send_one(&log, large()).unwrap();
    let events = all_events(&log).iter().map(event_line).collect::<Vec<_>>();
    drop(log);
    let log = open(directory.path()).unwrap();
    assert_eq!(all_events(&log).iter().map(event_line).collect::<Vec<_>>(), events);
    drop(log);
    let Some(output) = second_reader(directory.path()) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json_lines(&output.stdout)[1..], events);
}

/// A fixture's first segment, to be changed by somebody who can make checks that fit.
struct Forged {
    directory: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Forged {
    fn new() -> Self {
        let directory = copy("rich");
        let bytes = fs::read(directory.path().join("journal").join(SEGMENT)).unwrap();
        Self { directory, bytes }
    }

    fn seal(&self) -> u32 {
        let parts = [&self.bytes[48..56], &self.bytes[32..36], &self.bytes[16..32]];
        crc32c::crc32c(&parts.concat())
    }

    /// Sets a byte of the segment's header.
    fn header(mut self, at: usize, value: u8) -> Self {
        self.bytes[at] = value;
        let check = crc32c::crc32c(&self.bytes[..508]);
        self.bytes[508..512].copy_from_slice(&check.to_le_bytes());
        self
    }

    /// Sets bytes of the first commit, at offsets from its beginning, and makes all its checks fit; the next commit
    /// does not follow it any more.
    fn commit(mut self, changes: &[(usize, u8)]) -> Self {
        let seal = self.seal();
        changes.iter().for_each(|(at, value)| self.bytes[4096 + at] = *value);
        let word =
            |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        let length = word(&self.bytes, 4100) as usize;
        let record = 4160..4160 + word(&self.bytes, 4160) as usize;
        let offset = crc32c::crc32c_append(seal, &4160u64.to_le_bytes());
        let check = crc32c::crc32c_append(offset, &self.bytes[record.start + 8..record.end]);
        self.bytes[4164..4168].copy_from_slice(&check.to_le_bytes());
        let check = crc32c::crc32c_append(seal, &self.bytes[4160..4160 + length]);
        self.bytes[4096 + 52..4096 + 56].copy_from_slice(&check.to_le_bytes());
        let check = crc32c::crc32c_append(seal, &self.bytes[4096..4096 + 60]);
        self.bytes[4096 + 60..4096 + 64].copy_from_slice(&check.to_le_bytes());
        self
    }

    fn written(self) -> tempfile::TempDir {
        fs::write(self.directory.path().join("journal").join(SEGMENT), &self.bytes).unwrap();
        self.directory
    }

    fn refused(self, expected: &str, second: &str) {
        let directory = self.written();
        let Err(error) = open(directory.path()) else { panic!("{expected}: it opened") };
        assert!(error.to_string().starts_with(expected), "{error}");
        let newer = matches!(error, OpenError::Newer { .. } | OpenError::Unknown { .. });
        assert!(newer, "it is newer, not damaged: {error}");
        second_reader_refuses(directory.path(), second);
    }
}

#[test]
fn what_is_newer_is_refused_by_its_number() {
    let newer = "segment 1 is of format 2, this release reads up to format 1";
    Forged::new().header(12, 2).refused(newer, "a reader must know format 2");
    // A later release may write what this one can read.
    let readable = Forged::new().header(8, 2).written();
    compare(&open(readable.path()).unwrap(), &expected("rich"));
    second_reader_agrees(readable.path(), &expected("rich"));
    Forged::new().header(36, 4).refused("segment feature 0x4 in segment 1", "features 4");
    Forged::new().header(56, 1).refused("a partition other than 0 in segment 1", "partition 1");
    Forged::new().commit(&[(0, 3)]).refused("kind of commit 3 in segment 1", "commit kind 3");
    Forged::new().commit(&[(1, 2)]).refused("commit flags 0x02 in segment 1", "commit flags 2");
    Forged::new().commit(&[(56, 1)]).refused("a reserved field of a commit", "commit flags 0, 1");
    Forged::new().commit(&[(72, 3)]).refused("record 3 in segment 1", "record 3");
    Forged::new().commit(&[(73, 2)]).refused("append of 2 streams in segment 1", "2 streams");
    Forged::new().commit(&[(79, 2)]).refused("append flags 0x02 in segment 1", "flags 2");
}

#[test]
fn a_log_is_not_read_over_a_gap_between_segments() {
    let directory = copy("rich");
    fs::remove_file(directory.path().join("journal/00000003.segment")).unwrap();
    let Err(OpenError::Damaged(damage)) = open(directory.path()) else { panic!("a gap passes") };
    assert_eq!((damage.segment, damage.what.as_str()), (3, "the segment is missing"));
    if let Some(output) = second_reader(directory.path()) {
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(message.trim_end(), "segment 3 at offset 0: damaged: the segment is missing");
    }
}

#[test]
fn an_event_with_an_unknown_field_is_refused_when_it_is_read() {
    let first = expected("rich").into_iter().find(|line| line.get("append").is_some()).unwrap();
    let event = 64 + 68 + first["stream"].as_str().unwrap().len() + "deposit".len();
    // The name `deposited` becomes `dep`; its other bytes make room for a field 9 of no bytes.
    let name = event + 16;
    let field = [9, 0, 0, 0, 0, 0].iter().enumerate().map(|(at, byte)| (name + 3 + at, *byte));
    let changes = [(event + 8, 3), (event + 12, 6)].into_iter().chain(field).collect::<Vec<_>>();
    let mut forged = Forged::new().commit(&changes);
    // The commits behind it name the check of the one that was changed, so they go, and the head with them.
    let end = 4096 + 64 + u32::from_le_bytes(*forged.bytes[4100..].first_chunk().unwrap()) as usize;
    forged.bytes[end..].fill(0);
    let directory = forged.written();
    for number in 2..=6 {
        fs::remove_file(directory.path().join(format!("journal/{number:08}.segment"))).unwrap();
    }
    fs::remove_file(directory.path().join("journal/head")).unwrap();
    let log = open(directory.path()).unwrap();
    let read = ReadStream::forwards(StreamId::parse("account/a").unwrap());
    let Err(ReadError::Corrupt(what)) = block_on(log.read_stream(read)) else {
        panic!("it passes")
    };
    assert!(what.ends_with("field 9 of an event is not known to this release"), "{what}");
    second_reader_refuses(directory.path(), "field 9 is not known and must be understood");
}
