//! Figures of a journal, counted by a scan. It keeps 16 bytes in memory for each stream, up to twice that while its
//! table grows.

use super::{
    error::ToolError,
    files::JournalFiles,
    report::as_text,
    scan::{Progress, Scanner},
    time,
};
use crate::format::FIRST_COMMIT;
use kronika_core::{Incarnation, Position, RecordedAppend, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use xxhash_rust::xxh3::xxh3_128;

/// Aggregate types, and event names, that are counted apart; further ones are counted together.
const NAMES_MAX: usize = 10_000;

/// Figures of a journal.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JournalStats {
    /// Which history it is.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// Whether a process has it open.
    pub in_use: bool,
    /// Position of the last event.
    pub head: Position,
    /// Events.
    pub events: u64,
    /// Appends.
    pub appends: u64,
    /// Commits: one write and one sync each.
    pub commits: u64,
    /// Streams.
    pub streams: u64,
    /// When the first commit was recorded.
    #[serde(serialize_with = "time::serialize_some")]
    pub first_time: Option<Timestamp>,
    /// When the last commit was recorded.
    #[serde(serialize_with = "time::serialize_some")]
    pub last_time: Option<Timestamp>,
    /// Files of segments, those made ahead included.
    pub segments: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// Bytes of them that hold commits, or a header.
    pub used_bytes: u64,
    /// Bytes of the bodies of events.
    pub body_bytes: u64,
    /// By aggregate type.
    pub types: BTreeMap<String, TypeStats>,
    /// By aggregate type and name of the event, joined by a slash.
    pub names: BTreeMap<String, NameStats>,
    /// Events that belong to further types or names.
    pub events_uncounted: u64,
}

/// Figures of one aggregate type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TypeStats {
    /// Streams.
    pub streams: u64,
    /// Appends.
    pub appends: u64,
    /// Events.
    pub events: u64,
}

/// Figures of one name of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NameStats {
    /// Events.
    pub events: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

/// Counts what a journal holds.
///
/// # Errors
/// The journal is damaged, or cannot be read.
pub fn stats(
    files: &JournalFiles,
    progress: &mut dyn FnMut(Progress),
) -> Result<JournalStats, ToolError> {
    let mut scanner = Scanner::new(files)?;
    let mut stats = JournalStats::new(&scanner);
    let mut streams = HashSet::<u128, foldhash::fast::RandomState>::default();
    let mut segment = 0;
    while let Some(commit) = scanner.next() {
        let commit = commit?;
        stats.commits += 1;
        stats.head = commit.last_position();
        stats.first_time.get_or_insert(commit.time());
        stats.last_time = Some(commit.time());
        stats.used_bytes += commit.bytes();
        if commit.segment() != segment {
            segment = commit.segment();
            stats.used_bytes += FIRST_COMMIT;
        }
        for append in commit.appends()? {
            let append = append?;
            let new = streams.insert(xxh3_128(append.header.stream.name().as_bytes()));
            stats.append(&append, new);
        }
        progress(scanner.progress());
    }
    stats.streams = streams.len() as u64;
    Ok(stats)
}

impl JournalStats {
    fn new(scanner: &Scanner) -> Self {
        Self {
            incarnation: scanner.incarnation(),
            in_use: scanner.extent.held,
            head: Position::ZERO,
            events: 0,
            appends: 0,
            commits: 0,
            streams: 0,
            first_time: None,
            last_time: None,
            segments: scanner.extent.segments.len() as u64,
            file_bytes: scanner.file_bytes(),
            used_bytes: 0,
            body_bytes: 0,
            types: BTreeMap::new(),
            names: BTreeMap::new(),
            events_uncounted: 0,
        }
    }

    fn append(&mut self, append: &RecordedAppend, new_stream: bool) {
        let name = append.header.stream.aggregate_type();
        let events = append.events.len() as u64;
        self.appends += 1;
        self.events += events;
        if let Some(of_type) = counted(&mut self.types, name) {
            of_type.appends += 1;
            of_type.events += events;
            of_type.streams += u64::from(new_stream);
        }
        for event in &append.events {
            let bytes = event.body.len() as u64;
            self.body_bytes += bytes;
            match counted(&mut self.names, &format!("{name}/{}", event.name)) {
                Some(of_name) => {
                    of_name.events += 1;
                    of_name.body_bytes += bytes;
                }
                None => self.events_uncounted += 1,
            }
        }
    }
}

/// The figures of a name; `None` where there are too many names.
fn counted<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if !map.contains_key(name) {
        if map.len() >= NAMES_MAX {
            return None;
        }
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name)
}
