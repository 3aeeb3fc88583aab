//! Journals that are whole, written by the log itself: what inputs change.

use super::block_on;
use crate::{Log, Settings, SimulatedDisk};
use kronika_core::{
    Append, AppendId, AppendMore, Epoch, Journal, Keyed, Loading, Metadata, NewEvent, PartitionId,
    Position, ReadPartition, ReadStream, RecordedAppend, RecordedEvent, SliceRange, StreamId,
    Timer, Timestamp, Version,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

pub(super) const DIRECTORY: &str = "/data/journal";
/// Streams of every image, and one that is in none.
const STREAMS: [&str; 4] = ["account/a", "account/b", "person/ö", "account/absent"];

/// A journal and what was acknowledged in it.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) disk: SimulatedDisk,
    pub(super) events: Vec<RecordedEvent>,
    /// Of each stream that is asked for, in order.
    pub(super) appends: Vec<(StreamId, Vec<RecordedAppend>)>,
    /// Positions that a commit ended at: a journal that lost its end ends at one of them.
    pub(super) ends: BTreeSet<u64>,
}

/// Where reads of an image find what they need.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reads {
    FromFiles,
    FromMemory,
}

/// Settings that go on with any image.
fn settings(reads: Reads) -> Settings {
    Settings {
        segment_bytes: 8192,
        first_segment_bytes: 8192,
        recent_bytes: match reads {
            Reads::FromFiles => 0,
            Reads::FromMemory => 1 << 20,
        },
        reader_threads: 1,
        clock: || Timestamp::new(1_700_000_000_000_000),
        seed: Some(7),
        ..Settings::default()
    }
}

pub(super) fn open(disk: &SimulatedDisk, reads: Reads) -> Result<Log, crate::OpenError> {
    Log::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY), settings(reads))
}

/// One of the images: a short one, and one of several segments.
pub(super) fn image(which: u8) -> &'static Image {
    static IMAGES: [OnceLock<Image>; 2] = [const { OnceLock::new() }; 2];
    let which = usize::from(which) % IMAGES.len();
    IMAGES[which].get_or_init(|| Image::write([3, 14][which]))
}

impl Image {
    /// Writes so many groups, with a claim now and then.
    fn write(groups: u64) -> Self {
        let disk = SimulatedDisk::new(groups);
        let log = open(&disk, Reads::FromFiles).expect("an empty disk holds no journal");
        let (mut versions, mut ends) = (HashMap::new(), BTreeSet::from([0]));
        let (mut position, mut epoch) = (0, Epoch::default());
        for group in 0..groups {
            if group % 8 == 1 {
                let claimed = block_on(log.claim(SliceRange::ALL, None));
                epoch = claimed.expect("nobody else claims").epoch;
            }
            let appends = (0..=group % 2).map(|n| {
                let stream = stream(STREAMS[((group + n) % 3) as usize]);
                let expected = versions.entry(stream.clone()).or_insert(0);
                let append = append(group * 2 + n, stream, *expected, epoch);
                *expected += append.events.len() as u64;
                position += append.events.len() as u64;
                append
            });
            let done = block_on(log.append(appends.collect()));
            assert!(done.iter().all(Result::is_ok), "an empty disk takes appends: {done:?}");
            ends.insert(position);
        }
        let (events, appends) = (all_events(&log), all_appends(&log));
        let events = events.expect("what was written is read");
        let appends = appends.expect("what was written is read");
        assert_eq!(events.len() as u64, position, "all events are read");
        drop(log);
        let image = Self { disk, events, appends, ends };
        image.forget_what_comes_by_chance();
        image
    }

    /// How far the next segment was made depends on threads, and inputs are to mean the same in each run.
    fn forget_what_comes_by_chance(&self) {
        let by_chance = |path: &PathBuf| {
            let making = path.extension().is_some_and(|extension| extension == "making");
            let segment = path.extension().is_some_and(|extension| extension == "segment");
            making || (segment && self.disk.contents(path)[4096..].iter().all(|byte| *byte == 0))
        };
        self.disk
            .files()
            .iter()
            .filter(|path| by_chance(path))
            .for_each(|path| self.disk.lose(path));
    }
}

fn stream(name: &str) -> StreamId {
    StreamId::parse(name).expect("the names are valid")
}

/// Small ones and large ones, with and without events, and now and then with everything.
fn append(number: u64, stream: StreamId, expected: u64, epoch: Epoch) -> Append {
    let event = |n: u64| NewEvent {
        name: "deposited".into(),
        schema: 1,
        body: format!("{{\"cents\":{}}}", "7".repeat((number as usize * 29 + 3) % 700)).into(),
        tags: if n == 1 { vec!["red".to_owned()] } else { Vec::new() },
        metadata: (n == 2).then(|| Box::new(Metadata::from([("who".into(), "Zoë".into())]))),
        ..NewEvent::default()
    };
    let more = number.is_multiple_of(3).then(|| {
        let keyed = Keyed { key: format!("key-{number}"), fingerprint: 5, reply: "null".into() };
        let due = Timestamp::new(9);
        let timer = Timer { due, command: "close".into(), body: b"{}".to_vec() };
        let (keyed, timers) = (Some(keyed), vec![timer]);
        Box::new(AppendMore { keyed, timers, ..AppendMore::default() })
    });
    Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), number + 1),
        stream,
        expected: Version::new(expected),
        epoch,
        loading: Loading::new(1),
        events: (0..number % 4).map(event).collect(),
        command: "deposit".into(),
        more,
    }
}

/// All events, in small pages; or why they cannot be read.
pub(super) fn all_events(log: &Log) -> Result<Vec<RecordedEvent>, String> {
    let (mut events, mut after) = (Vec::new(), Position::ZERO);
    loop {
        let read = ReadPartition::after(PartitionId::default(), after).limit_events(16);
        let page = block_on(log.read_partition(read)).map_err(|error| error.to_string())?;
        events.extend(page.events);
        if page.at_head {
            return Ok(events);
        }
        assert!(page.scanned.position > after, "a page goes on");
        after = page.scanned.position;
    }
}

/// The appends of each stream, in small pages, and each again by its id and its key; or why not.
pub(super) fn all_appends(log: &Log) -> Result<Vec<(StreamId, Vec<RecordedAppend>)>, String> {
    STREAMS.iter().map(|name| appends_of(log, stream(name))).collect()
}

fn appends_of(log: &Log, stream: StreamId) -> Result<(StreamId, Vec<RecordedAppend>), String> {
    let mut read = ReadStream::forwards(stream.clone()).limit_appends(8);
    let mut appends: Vec<RecordedAppend> = Vec::new();
    loop {
        let page = block_on(log.read_stream(read.clone())).map_err(|error| error.to_string())?;
        assert!(!page.appends.is_empty() || page.next.is_none(), "a page goes on");
        appends.extend(page.appends);
        let Some(next) = page.next else { break };
        read = read.from(next);
    }
    for append in &appends {
        use kronika_core::AppendBy;
        let key = append.header.more.as_ref().and_then(|more| more.keyed.as_ref());
        let by_key = key.map(|keyed| {
            let principal =
                append.header.more.as_ref().and_then(|more| more.origin.principal.clone());
            AppendBy::Key { principal, key: keyed.key.clone() }
        });
        for by in [Some(AppendBy::Id(append.header.id)), by_key].into_iter().flatten() {
            let found =
                block_on(log.read_append(&stream, by)).map_err(|error| error.to_string())?;
            assert!(found.is_some(), "an append that is read is found: {append:?}");
        }
    }
    Ok((stream, appends))
}
