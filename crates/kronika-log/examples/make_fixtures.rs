//! Writes the fixtures of the present format: small journals, and beside each what stands in it, one JSON object
//! on a line, as it was sent and acknowledged. Nothing here reads a journal. What is there is never written again:
//! a fixture stands for the release that wrote it.
//!
//! `cargo run -p kronika-log --example make_fixtures -- crates/kronika-log/tests/fixtures/v1`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool that is run by hand")]

use bytes::Bytes;
use kronika_core::{
    Append, AppendId, AppendMore, Committed, Epoch, EventId, Journal, Keyed, Loading, Metadata,
    NewEvent, Origin, SliceRange, StreamId, Timer, Timestamp, Version,
};
use kronika_log::{Log, Settings, SimulatedDisk};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicI64, Ordering},
};

const BEGINNING: i64 = 1_735_689_600_000_000;
const JOURNAL: &str = "/data/journal";

fn main() {
    let directory = std::env::args().nth(1).expect("a directory for the fixtures");
    let directory = Path::new(&directory);
    Fixture::new("empty", 1).save(directory);
    rich().save(directory);
    for (name, lost) in [("torn", Lost::Sectors), ("headless", Lost::Header)] {
        (0..1000).find_map(|seed| torn(name, seed, lost)).unwrap().save(directory);
    }
}

/// A clock that stands still now and then, and never goes back.
fn clock() -> Timestamp {
    static CALLS: AtomicI64 = AtomicI64::new(0);
    Timestamp::new(BEGINNING + CALLS.fetch_add(1, Ordering::Relaxed) / 2 * 1_000_001)
}

/// A journal that is being written, and what was acknowledged.
struct Fixture {
    name: &'static str,
    disk: SimulatedDisk,
    log: Option<Log>,
    lines: Vec<Value>,
    versions: HashMap<StreamId, u64>,
    position: u64,
    epoch: Epoch,
}

impl Fixture {
    fn new(name: &'static str, seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        let settings = Settings {
            segment_bytes: 8192,
            first_segment_bytes: 8192,
            clock,
            seed: Some(seed),
            ..Settings::default()
        };
        let log = Log::open_on(Arc::new(disk.clone()), Path::new(JOURNAL), settings).unwrap();
        let (lines, versions, epoch) = (Vec::new(), HashMap::new(), Epoch::default());
        Self { name, disk, log: Some(log), lines, versions, position: 0, epoch }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().expect("the log is open until it is saved")
    }

    /// An append without events, on the stream's newest version.
    fn append(&self, name: &str) -> Append {
        let stream = StreamId::parse(name).unwrap();
        Append {
            id: AppendId::from_parts(Timestamp::new(BEGINNING), self.lines.len() as u64 + 1),
            expected: Version::new(self.versions.get(&stream).copied().unwrap_or(0)),
            stream,
            epoch: self.epoch,
            loading: Loading::new(1),
            events: Vec::new(),
            command: "deposit".into(),
            more: None,
        }
    }

    /// Sends appends as one group, and notes what was sent once it is acknowledged.
    fn send(&mut self, group: Vec<Append>) {
        for (append, done) in group.iter().zip(block_on(self.log().append(group.clone()))) {
            let committed = done.unwrap();
            let first = self.position + 1;
            self.position += append.events.len() as u64;
            let told = committed.mark.map_or(first - 1, |mark| mark.position.get());
            assert_eq!(told, self.position, "positions are dense");
            self.versions.insert(append.stream.clone(), committed.version.get());
            self.lines.extend(lines(append, first, &committed));
        }
    }

    fn claim(&mut self, first: u16, last: u16) {
        let range = SliceRange::new(first, last).unwrap();
        self.epoch = block_on(self.log().claim(range, None)).unwrap().epoch;
        self.lines.push(json!({ "claim": [first, last], "epoch": self.epoch.get() }));
    }

    /// Saves what is on the disk. A fixture that is there already stays as it is.
    fn save(mut self, directory: &Path) {
        drop(self.log.take());
        let journal = directory.join(self.name).join("journal");
        if journal.exists() {
            return println!("{} stays as it is", journal.display());
        }
        fs::create_dir_all(&journal).unwrap();
        for path in self.disk.files() {
            if path.extension().is_none_or(|extension| extension != "making") {
                let to = journal.join(path.file_name().unwrap());
                fs::write(to, self.disk.contents(&path)).unwrap();
            }
        }
        let text = self.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        fs::write(directory.join(self.name).join("expected.jsonl"), text).unwrap();
        println!("{} was made", journal.display());
    }
}

/// Every field, several segments, a claim between, and a commit that needs a larger segment.
fn rich() -> Fixture {
    let mut fixture = Fixture::new("rich", 2);
    let plain = fixture.append("account/a");
    fixture.send(vec![Append { events: vec![event("{}")], ..plain }]);
    fixture.claim(0, 1023);
    let full = full(fixture.append("account/a"));
    fixture.send(vec![full]);
    // Without events, once with a key and once with nothing at all.
    let keyed = AppendMore { keyed: Some(keyed("second")), ..AppendMore::default() };
    let again = fixture.append("account/a");
    fixture.send(vec![Append { more: Some(Box::new(keyed)), ..again }]);
    let empty = fixture.append("account/never-an-event");
    fixture.send(vec![Append { more: Some(Box::default()), command: "".into(), ..empty }]);
    // Several streams in one commit, with names at their limits.
    let names = ["person/Łukasz/№1", &format!("{}/{}", "a".repeat(64), "ö".repeat(127)), "x/y"];
    let group = names.iter().enumerate().map(|(place, name)| {
        let append = fixture.append(name);
        let id = AppendId::from_parts(Timestamp::new(BEGINNING), 1000 + place as u64);
        Append { id, events: vec![event("[\n  1e-7,\r\n  \"a\\nb\"\n]"); place + 1], ..append }
    });
    let group = group.collect();
    fixture.send(group);
    fixture.claim(10, 300);
    fixture.claim(0, 1023);
    let large = fixture.append("account/large");
    let body = format!("{{\"text\":\"{}\"}}", "größer ".repeat(700));
    fixture.send(vec![Append { events: vec![event(body)], ..large }]);
    for round in 0..40 {
        let append = fixture.append(["account/a", "account/b"][round % 2]);
        let events = (0..round % 4).map(|n| event(format!("{{\"cents\":{}}}", round * 1000 + n)));
        fixture.send(vec![Append { events: events.collect(), ..append }]);
    }
    fixture
}

fn event(body: impl Into<Bytes>) -> NewEvent {
    NewEvent { name: "deposited".into(), schema: 1, body: body.into(), ..NewEvent::default() }
}

fn keyed(key: &str) -> Keyed {
    let reply = "{\"balance\":12345678901234567890}".into();
    Keyed { key: key.to_owned(), fingerprint: u128::MAX - 5, reply }
}

fn full(append: Append) -> Append {
    let metadata = [("who", "Zoë"), ("", "no name"), ("empty", "")];
    let metadata = metadata.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let first = NewEvent {
        name: "ü".repeat(127).into(),
        schema: u32::MAX,
        tags: vec!["red".to_owned(), "größe:1".to_owned()],
        occurred: Some(Timestamp::new(-1)),
        id: Some(EventId::new(1 << 127 | 7)),
        metadata: Some(Box::new(Metadata::from(metadata))),
        ..event("{\"emoji\":\"🦀\",\"escaped\":\"\\u0000\"}")
    };
    let second = NewEvent { occurred: Some(Timestamp::new(BEGINNING)), ..event("null") };
    let third = NewEvent { metadata: Some(Box::default()), ..event(vec![0xff, 0, b'"']) };
    let origin = Origin {
        principal: Some("anna".to_owned()),
        tenant: Some("köln".to_owned()),
        correlation: Some("conversation 1".to_owned()),
        causation: Some(String::new()),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    };
    let timer = |due: i64, command: &'static str, body: &str| {
        let due = Timestamp::new(due);
        Timer { due, command: command.into(), body: body.into() }
    };
    let more = AppendMore {
        command_body: Some("{\"cents\":500}".into()),
        keyed: Some(keyed("first")),
        origin,
        timers: vec![timer(BEGINNING + 1, "close", "{}"), timer(-5, "remind", "[1,2]")],
        encryption_key: Some("key-7".to_owned()),
    };
    let events = vec![first, second, third];
    Append { events, more: Some(Box::new(more)), command: "open an account".into(), ..append }
}

/// What a power cut took of the last commit.
#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Header,
    Sectors,
}

/// A journal whose last commit lost something when the power failed; `None` where this seed loses something else.
fn torn(name: &'static str, seed: u64, lost: Lost) -> Option<Fixture> {
    let mut fixture = Fixture::new(name, seed);
    for (stream, body) in [("account/a", "{\"cents\":1}"), ("account/b", "{\"cents\":2}")] {
        let append = fixture.append(stream);
        fixture.send(vec![Append { events: vec![event(body)], ..append }]);
    }
    let head = fixture.disk.contents(&Path::new(JOURNAL).join("head"));
    let end = u64::from_le_bytes(*head[32..].first_chunk().unwrap()) as usize;
    let body = format!("{{\"text\":\"{}\"}}", "kronika ".repeat(50));
    let last = Append { events: vec![event(body); 4], ..fixture.append("account/a") };
    fixture.disk.power_fails_at(2);
    assert!(block_on(fixture.log().append(vec![last]))[0].is_err());
    drop(fixture.log.take());
    fixture.disk.crash();
    let segment = fixture.disk.contents(&Path::new(JOURNAL).join("00000001.segment"));
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let header = is_zero(&segment[end..end + 64]);
    let sectors = segment[end..end + 1700].chunks(512).filter(|sector| is_zero(sector)).count();
    let found = match (header, sectors) {
        (true, 1..) if !is_zero(&segment[end..]) => Lost::Header,
        (false, 1..) => Lost::Sectors,
        _ => return None,
    };
    (found == lost).then_some(fixture)
}

/// What is to be found of an append: itself, then its events.
fn lines(append: &Append, first: u64, committed: &Committed) -> Vec<Value> {
    let time = committed.time.get();
    let mut line = json!({
        "append": append.id.to_string(), "stream": append.stream.name(), "expected": append.expected,
        "epoch": append.epoch, "position": first, "time": time, "events": append.events.len(),
        "command": append.command,
    });
    if let Some(more) = &append.more {
        line["more"] = more_line(more);
    }
    let mut lines = vec![line];
    for (place, event) in append.events.iter().enumerate() {
        let id = event.id.unwrap_or(append.id.event(place));
        let mut line = json!({
            "position": first + place as u64, "stream": append.stream.name(),
            "version": append.expected.get() + 1 + place as u64, "id": id.to_string(),
            "name": event.name, "schema": event.schema, "time": time, "body": raw(&event.body),
        });
        let optional = [
            ("tags", (!event.tags.is_empty()).then(|| json!(event.tags))),
            ("occurred", event.occurred.map(|time| json!(time))),
            ("metadata", event.metadata.as_deref().map(|metadata| json!(metadata))),
        ];
        optional.into_iter().for_each(|(name, value)| put(&mut line, name, value));
        lines.push(line);
    }
    lines
}

fn more_line(more: &AppendMore) -> Value {
    let mut line = Value::Object(Map::new());
    if let Some(Keyed { key, fingerprint, reply }) = &more.keyed {
        put(&mut line, "key", Some(json!(key)));
        put(&mut line, "fingerprint", Some(json!(format!("{fingerprint:032x}"))));
        put(&mut line, "reply", Some(raw(reply)));
    }
    let Origin { principal, tenant, correlation, causation, trace } = &more.origin;
    let texts = [
        ("principal", principal),
        ("tenant", tenant),
        ("correlation", correlation),
        ("causation", causation),
        ("trace", trace),
        ("encryption_key", &more.encryption_key),
    ];
    texts
        .into_iter()
        .for_each(|(name, text)| put(&mut line, name, text.as_ref().map(|it| json!(it))));
    put(&mut line, "command_body", more.command_body.as_ref().map(|body| raw(body)));
    let timers = more.timers.iter().map(
        |timer| json!({ "due": timer.due, "command": timer.command, "body": raw(&timer.body) }),
    );
    let timers = timers.collect::<Vec<_>>();
    put(&mut line, "timers", (!timers.is_empty()).then_some(Value::Array(timers)));
    line
}

fn put(line: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        line[name] = value;
    }
}

/// JSON as it is, and what is none in hexadecimal digits.
fn raw(bytes: &[u8]) -> Value {
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!({ "hex": hex() }))
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
