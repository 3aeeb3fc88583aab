//! Sealed segments: what is opened, looked up and filtered by footers and runs is what a log that reads everything
//! gives; derived files that are lost or wrong are made anew; what is remembered is bounded.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kronika_core::{
    Append, AppendBy, AppendMore, Direction, EventFilter, Journal, Keyed, Origin, Position,
    SliceRange, StreamId, Version,
};
use kronika_log::{Log, Settings, SimulatedDisk};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

const PATH: &str = "/data/journal";

/// So small that everything is soon sealed, and nothing stays in memory.
fn settings() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 0,
        streams_remembered_max: 0,
        seed: Some(1),
        ..Settings::small()
    }
}

fn open(disk: &SimulatedDisk) -> Log {
    open_with(disk, settings())
}

fn open_with(disk: &SimulatedDisk, settings: Settings) -> Log {
    Log::open_on(Arc::new(disk.clone()), Path::new(PATH), settings).unwrap()
}

/// Waits until all full segments are sealed and merged: nothing changes any more.
fn settle(log: &Log, disk: &SimulatedDisk) {
    loop {
        let segments = files(disk, "segment").len() as u32;
        let before = log.stats();
        // The last one is being filled, and another one may be made ready.
        if before.sealed_segments + 2 >= segments && before.runs < 8 + 8 {
            return;
        }
        assert_eq!(before.sealing_failure, None);
        std::thread::yield_now();
    }
}

fn files(disk: &SimulatedDisk, extension: &str) -> Vec<PathBuf> {
    let files = disk.files();
    files.into_iter().filter(|path| path.extension() == Some(extension.as_ref())).collect()
}

fn keyed(append: Append, key: &str) -> Append {
    let keyed = Keyed { key: key.into(), fingerprint: 1, reply: "1".into() };
    let origin = Origin { principal: Some("ann".into()), ..Origin::default() };
    let more = AppendMore { keyed: Some(keyed), origin, ..AppendMore::default() };
    Append { more: Some(Box::new(more)), ..append }
}

/// A log of many segments, and the versions of its streams.
fn filled(disk: &SimulatedDisk, appends: u64) -> (Log, BTreeMap<String, u64>) {
    let log = open(disk);
    let mut random = fastrand::Rng::with_seed(9);
    let mut versions = BTreeMap::new();
    for n in 0..appends {
        let name = format!("s{}", if random.bool() { 0 } else { random.u32(..60) });
        let kind = if random.u8(..3) == 0 { "order" } else { "account" };
        let version = versions.entry(format!("{kind}/{name}")).or_default();
        let mut append = append(&name, *version, random.usize(..3));
        append.stream = StreamId::new(kind, &name).unwrap();
        for event in &mut append.events {
            if random.u8(..20) == 0 {
                event.tags = vec!["rare".to_owned(), format!("t{}", random.u8(..3))];
            }
        }
        if random.u8(..4) == 0 {
            append = keyed(append, &format!("k{n}"));
        }
        let sent = send_one(&log, append).unwrap();
        *version = sent.version.get();
    }
    settle(&log, disk);
    (log, versions)
}

/// Everything that the log gives, in every way.
fn told(log: &Log, versions: &BTreeMap<String, u64>) -> Vec<String> {
    let all = all_events(log);
    let mut told = vec![format!("{:?}", all.len())];
    for (name, version) in versions {
        let stream = StreamId::parse(name).unwrap();
        let mut read = kronika_core::ReadStream::forwards(stream.clone()).limit_appends(7);
        let mut forwards = Vec::new();
        loop {
            let page = block_on(log.read_stream(read.clone())).unwrap();
            assert_eq!(page.newest, Version::new(*version));
            forwards.extend(page.appends);
            let Some(next) = page.next else { break };
            read = read.from(next);
        }
        let events = forwards.iter().flat_map(|append| &append.events);
        let in_order = all.iter().filter(|event| *event.stream() == stream);
        assert!(events.eq(in_order), "{name}");
        for append in forwards.iter().step_by(5) {
            let by_id = log.read_append(&stream, AppendBy::Id(append.header.id));
            assert_eq!(block_on(by_id).unwrap().as_ref(), Some(append));
            if let Some(keyed) = append.header.more.as_ref().and_then(|more| more.keyed.as_ref()) {
                let key = keyed.key.clone();
                let by_key = AppendBy::Key { principal: Some("ann".into()), key: key.clone() };
                let found = block_on(log.read_append(&stream, by_key)).unwrap();
                assert_eq!(found.as_ref(), Some(append), "{key}");
                let by_other = AppendBy::Key { principal: None, key };
                assert_eq!(block_on(log.read_append(&stream, by_other)).unwrap(), None);
            }
        }
        told.push(format!("{forwards:?}"));
    }
    let filter = EventFilter::default();
    for filter in [
        EventFilter { tags: vec!["rare".into()], ..filter.clone() },
        EventFilter { tags: vec!["t1".into(), "t2".into()], ..filter.clone() },
        EventFilter { tags: vec!["none".into()], ..filter.clone() },
        EventFilter { types: vec!["order".into()], ..filter.clone() },
        EventFilter { types: vec!["none".into()], ..filter.clone() },
        EventFilter { slices: SliceRange::new(100, 300).unwrap(), ..filter.clone() },
        EventFilter { types: vec!["order".into()], tags: vec!["t0".into()], ..filter },
    ] {
        let passes = |event: &&kronika_core::RecordedEvent| {
            filter.admits_stream(event.stream()) && filter.admits_tags(&event.tags)
        };
        let expected = all.iter().filter(passes).collect::<Vec<_>>();
        let found = filtered(log, filter.clone());
        assert!(found.iter().eq(expected.iter().copied()), "{filter:?}");
        told.push(format!("{found:?}"));
    }
    for event in all.iter().step_by(37) {
        let mark = block_on(log.mark_at(Default::default(), event.position)).unwrap();
        assert_eq!(mark, Some(event.mark()));
    }
    told.push(format!("{all:?}"));
    told
}

#[test]
fn what_is_sealed_reads_as_what_is_not_also_after_reopening() {
    let disk = SimulatedDisk::new(1);
    let (log, versions) = filled(&disk, 1500);
    let sealed = log.stats().sealed_segments;
    assert!(sealed > 16, "{sealed} segments are sealed");
    let first = told(&log, &versions);
    drop(log);
    // As it was left; without derived files, of which some are made anew at once and some behind; without any of one
    // kind; with some that are wrong.
    let changes: [&dyn Fn(&SimulatedDisk); 5] = [
        &|_| {},
        &|disk| {
            for extension in ["run", "footer"] {
                files(disk, extension).iter().for_each(|path| disk.lose(path));
            }
        },
        &|disk| files(disk, "run").iter().for_each(|path| disk.lose(path)),
        &|disk| disk.lose(&files(disk, "footer")[7]),
        &|disk| {
            for path in files(disk, "footer").iter().chain(&files(disk, "run")) {
                let mut bytes = disk.contents(path);
                bytes[100] ^= 1;
                disk.replace(path, &bytes);
            }
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let disk = disk.copy(number as u64);
        change(&disk);
        let log = open(&disk);
        assert!(told(&log, &versions) == first, "change {number}");
        settle(&log, &disk);
        assert!(told(&log, &versions) == first, "change {number}, sealed anew");
        drop(log);
        assert!(told(&open(&disk), &versions) == first, "change {number}, opened again");
    }
}

#[test]
fn versions_of_streams_that_were_forgotten_are_looked_up() {
    let disk = SimulatedDisk::new(2);
    let (log, mut versions) = filled(&disk, 1000);
    assert!(log.stats().streams_in_memory < versions.len() / 2, "{:?}", log.stats());
    for (name, version) in &mut versions {
        let stream = StreamId::parse(name).unwrap();
        let mut stale = append("x", *version + 1, 1);
        stale.stream = stream.clone();
        let conflict = send_one(&log, stale.clone());
        let found = Version::new(*version);
        let refused =
            kronika_core::AppendError::Conflict { stream, expected: stale.expected, found };
        assert_eq!(conflict, Err(refused));
        let fits = Append { expected: found, loading: kronika_core::Loading::new(2), ..stale };
        *version = send_one(&log, fits).unwrap().version.get();
    }
    told(&log, &versions);
    // A reader that loads a stream remembers it; so many are not kept.
    assert!(log.stats().streams_in_memory <= versions.len());
}

#[test]
fn opening_reads_only_what_is_not_sealed() {
    let disk = SimulatedDisk::new(3);
    let (log, versions) = filled(&disk, 1000);
    let expected = told(&log, &versions);
    drop(log);
    // What is sealed is damaged, and nobody asks.
    let first = Path::new(PATH).join("00000001.segment");
    let bytes = disk.contents(&first);
    let mut wrong = bytes.clone();
    wrong[5000] ^= 1;
    disk.replace(&first, &wrong);
    let log = open(&disk);
    assert!(log.stats().sealed_segments > 8);
    let read = kronika_core::ReadPartition::after(Default::default(), Default::default());
    let error = block_on(log.read_partition(read)).unwrap_err().to_string();
    assert!(error.contains("segment 1 at offset"), "{error}");
    drop(log);
    disk.replace(&first, &bytes);
    assert!(told(&open(&disk), &versions) == expected);
}

#[test]
fn a_run_that_is_found_wrong_is_made_anew_while_the_log_goes_on() {
    let disk = SimulatedDisk::new(4);
    let (log, versions) = filled(&disk, 1000);
    let expected = told(&log, &versions);
    drop(log);
    for path in files(&disk, "run") {
        let mut bytes = disk.contents(&path);
        // Something in every block of appends.
        (700..bytes.len()).step_by(2000).for_each(|at| bytes[at] ^= 1);
        disk.replace(&path, &bytes);
    }
    let log = open_with(&disk, Settings { index_bytes: 0, ..settings() });
    let stream = StreamId::parse(versions.keys().next().unwrap()).unwrap();
    let mut refused = 0;
    // Whoever asks is told to come back, until it is made anew.
    while let Err(error) =
        block_on(log.read_stream(kronika_core::ReadStream::forwards(stream.clone())))
    {
        let text = error.to_string();
        assert!(matches!(error, kronika_core::ReadError::Unavailable(_)), "{text}");
        assert!(text.contains("made anew"), "{text}");
        refused += 1;
        std::thread::yield_now();
    }
    assert!(refused > 0);
    for name in versions.keys() {
        let read = kronika_core::ReadStream::forwards(StreamId::parse(name).unwrap());
        while block_on(log.read_stream(read.clone())).is_err() {
            std::thread::yield_now();
        }
    }
    let directions = [Direction::Forwards, Direction::Backwards];
    assert!(directions.iter().all(|one| !all_of(&log, "s0", *one, 3).is_empty()));
    let by_key = |key: String| AppendBy::Key { principal: Some("ann".into()), key };
    for n in 0..1000 {
        while block_on(log.read_append(&stream, by_key(format!("k{n}")))).is_err() {
            std::thread::yield_now();
        }
    }
    assert!(told(&log, &versions) == expected);
}

/// Nearly every append has the tag: a small page must not read where all of them are.
#[test]
fn a_page_of_a_common_tag_reads_no_more_of_a_footer_than_it_needs() {
    let disk = SimulatedDisk::new(6);
    let settings = Settings { segment_bytes: 2 << 20, first_segment_bytes: 2 << 20, ..settings() };
    let log = open_with(&disk, settings);
    let mut version = 0;
    while log.stats().sealed_segments == 0 {
        let group = (0..100).map(|n| {
            let mut append = append("a", version + n, 1);
            append.events[0].tags = vec![if n % 10 == 0 { "rare" } else { "common" }.to_owned()];
            append
        });
        assert!(send(&log, group.collect()).iter().all(Result::is_ok));
        version += 100;
    }
    assert!(version > 8000, "{version}");
    let filter = EventFilter {
        tags: vec!["common".into(), "none".into(), "rare".into()],
        ..EventFilter::default()
    };
    for after in [0, 1, 5_000, version - 2_000] {
        let read = kronika_core::ReadPartition::after(Default::default(), Position::new(after))
            .filter(filter.clone())
            .limit_events(5);
        block_on(log.read_partition(read.clone())).unwrap();
        disk.record();
        let page = block_on(log.read_partition(read)).unwrap();
        let positions = page.events.iter().map(|event| event.position.get());
        assert!(positions.eq(after + 1..=after + 5));
        let reads = disk.recorded().iter().filter(|call| call.starts_with("read")).count();
        assert!(reads < 40, "{reads} reads after {after}");
    }
}

/// A command that is sent again is looked up by the id of its append, which is mostly one of the newest.
#[test]
fn an_append_is_looked_for_by_its_id_from_the_newest_on() {
    let disk = SimulatedDisk::new(7);
    let log = open_with(
        &disk,
        Settings { segment_bytes: 4 << 20, first_segment_bytes: 4 << 20, ..settings() },
    );
    let (mut version, mut ids) = (0, Vec::new());
    while log.stats().sealed_segments == 0 {
        let group = (0..100).map(|n| append("a", version + n, 1)).collect::<Vec<_>>();
        ids.extend(group.iter().map(|append| append.id));
        assert!(send(&log, group).iter().all(Result::is_ok));
        version += 100;
    }
    assert!(version > 16_000, "{version}");
    let reads = |id| {
        disk.record();
        let found = block_on(log.read_append(&stream("a"), AppendBy::Id(id))).unwrap().unwrap();
        assert_eq!(found.header.id, id);
        disk.recorded().iter().filter(|call| call.starts_with("read")).count()
    };
    let (newest, oldest) = (reads(ids[ids.len() - 500]), reads(ids[0]));
    assert!(newest < 50 && oldest > 100, "{newest} and {oldest} reads");
    let none = append("a", 0, 1).id;
    assert_eq!(block_on(log.read_append(&stream("a"), AppendBy::Id(none))).unwrap(), None);
}
