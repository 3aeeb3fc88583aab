//! Journals with everything in them, and ways to look at them.

use crate::common::*;
use bytes::Bytes;
use kronika_core::{
    Append, AppendMore, Epoch, EventId, Journal, Keyed, NewEvent, Origin, RecordedAppend,
    SliceRange, Timer, Timestamp,
};
use kronika_log::{
    Disk, JournalFiles, Log, OpenMode, Scanner, Settings, SimulatedDisk, VerifyReport, verify,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub const JOURNAL: &str = "/data/journal";

pub fn segment(number: u32) -> PathBuf {
    PathBuf::from(format!("{JOURNAL}/{number:08}.segment"))
}

/// Segments so small that a few appends fill one; the clock stands still, and the chances are always the same.
pub fn tiny() -> Settings {
    Settings {
        segment_bytes: 8 << 10,
        first_segment_bytes: 8 << 10,
        clock: || Timestamp::new(1_700_000_000_000_000),
        seed: Some(7),
        ..Settings::default()
    }
}

pub fn open(disk: &SimulatedDisk) -> Log {
    Log::open_on(Arc::new(disk.clone()), Path::new(JOURNAL), tiny()).unwrap()
}

pub fn files(disk: &SimulatedDisk) -> JournalFiles {
    JournalFiles::on(Arc::new(disk.clone()), Path::new(JOURNAL))
}

#[track_caller]
pub fn verified(files: &JournalFiles) -> VerifyReport {
    verify(files, &mut |_| {}).unwrap()
}

/// An append with everything that one can carry.
pub fn rich(name: &str, expected: u64, epoch: Epoch) -> Append {
    let metadata = [("source".to_owned(), "ü\n".to_owned()), (String::new(), String::new())];
    let event_with_all = NewEvent {
        tags: vec!["red".to_owned(), String::new()],
        occurred: Some(Timestamp::new(-5)),
        id: Some(EventId::new(u128::MAX - u128::from(expected))),
        metadata: Some(Box::new(metadata.into())),
        ..event("{\"text\": \"two\\nlines\", \"amount\": 1.0}")
    };
    let more = AppendMore {
        command_body: Some(Bytes::from_static(b"{\"cents\":1}")),
        keyed: Some(Keyed {
            key: format!("key-{expected}"),
            fingerprint: 1 << 100,
            reply: "17".into(),
        }),
        origin: Origin {
            principal: Some("ann".into()),
            tenant: Some("t".into()),
            correlation: Some(String::new()),
            causation: Some("c".into()),
            trace: Some("00-1".into()),
        },
        timers: vec![Timer {
            due: Timestamp::new(9),
            command: "close".into(),
            body: b"{}".to_vec(),
        }],
        encryption_key: Some("e".into()),
    };
    // Bodies that are no JSON, or JSON on two lines, are kept as they are.
    let events = vec![event_with_all, event(""), event("{\n}"), event(vec![0xff, 0, 7])];
    Append { events, epoch, more: Some(Box::new(more)), ..append(name, expected, 0) }
}

/// A log over several segments, with claims, keys, appends of several events and of none.
pub fn fill(log: &Log, rounds: u64) {
    for round in 0..rounds {
        let epoch = block_on(log.claim(SliceRange::ALL, None)).unwrap().epoch;
        let at = |append: Append| Append { epoch, ..append };
        let group = [
            at(append("a", round * 3, 3)),
            at(append("b", round, 1)),
            rich("c", round * 4, epoch),
            Append { events: Vec::new(), ..rich("c", round * 4 + 4, epoch) },
            at(append(&format!("once-{round}"), 0, 2)),
        ];
        let (first, rest) = group.split_at(2);
        for result in send(log, first.to_vec()).into_iter().chain(send(log, rest.to_vec())) {
            result.unwrap();
        }
        send_one(log, at(append("d", round, 1))).unwrap();
    }
}

/// Events in a log that was filled for so many rounds.
pub const EVENTS_A_ROUND: u64 = 3 + 1 + 4 + 2 + 1;

/// A filled log that nobody has open.
pub fn filled(rounds: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk);
    fill(&log, rounds);
    drop(log);
    disk
}

/// The same, where all that is full is sealed.
pub fn sealed(rounds: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk);
    fill(&log, rounds);
    let is_segment = |path: &PathBuf| path.extension() == Some("segment".as_ref());
    loop {
        let segments = disk.files().iter().filter(|path| is_segment(path)).count();
        // The last one is being filled, and another one may be made ready.
        if log.stats().sealed_segments as usize + 2 >= segments {
            break;
        }
        std::thread::yield_now();
    }
    drop(log);
    disk
}

/// All appends of a journal, by a scan.
pub fn appends(files: &JournalFiles) -> Vec<RecordedAppend> {
    let commits = Scanner::new(files).unwrap().map(Result::unwrap);
    commits
        .flat_map(|commit| commit.appends().unwrap().map(Result::unwrap).collect::<Vec<_>>())
        .collect()
}

/// Where commits begin and end.
pub fn commits(files: &JournalFiles) -> Vec<(u32, u64, u64)> {
    let commits = Scanner::new(files).unwrap().map(Result::unwrap);
    commits.map(|commit| (commit.segment(), commit.offset(), commit.bytes())).collect()
}

/// A file that was not there.
pub fn create(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) {
    disk.open(path, OpenMode::WriteEmpty).unwrap();
    disk.replace(path, bytes);
}
