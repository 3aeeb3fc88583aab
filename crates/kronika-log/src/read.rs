//! Reading: streams, single appends, and the commits and records that they stand in.
//!
//! A read first tries what is in memory, on the caller's own thread; if that is not enough it is done anew on a
//! reader thread. Whatever comes from a file is verified before it is given.

use crate::{
    error::Damage,
    format::{
        COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, CommitHeader, HeaderFault, Malformed, RecordHead,
        decode_append, keyed_by, record_is_whole,
    },
    index::AppendEntry,
    place::Place,
    recent::StoredCommit,
    segments::SegmentInfo,
    shared::Shared,
    window::Window,
};
use bytes::Bytes;
use kronika_core::{
    AppendBy, Direction, ReadError, ReadStream, RecordedAppend, StreamCursor, StreamId, StreamPage,
    Version,
};
use std::io;

/// Bytes read at once for a single record.
const RECORD_AHEAD: usize = 4 << 10;
/// Bytes read at once when commits are followed.
const COMMIT_AHEAD: usize = 512 << 10;
/// Appends in one page of a stream, whatever was asked for.
const PAGE_APPENDS_MAX: usize = 65_536;

/// Why a read did not succeed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not in memory: a reader thread is needed.
    NotInMemory,
    /// It cannot be read at all.
    Read(ReadError),
}

/// One read, of memory only or of files too.
pub(crate) struct Reader<'a> {
    pub(crate) shared: &'a Shared,
    /// None reads memory only.
    pub(crate) window: Option<&'a mut Window>,
    /// What is durable as this read sees it.
    pub(crate) durable: Place,
}

impl Reader<'_> {
    /// A page of a stream.
    pub(crate) fn stream(&mut self, read: &ReadStream) -> Result<StreamPage, Fault> {
        let limit = read.limit_appends.clamp(1, PAGE_APPENDS_MAX);
        let (newest, first, total, chosen) = self.shared.index.stream(&read.stream, |appends| {
            let newest = appends.last().map_or(0, |last| last.end());
            let total = appends.len();
            let range = match read.direction {
                Direction::Forwards => {
                    let first = first_forwards(appends, read.from);
                    first..total.min(first + limit)
                }
                Direction::Backwards => {
                    let after = count_backwards(appends, read.from);
                    after.saturating_sub(limit)..after
                }
            };
            // With the entry before the first: where an append begins, the one before it ended.
            let with_before = range.start.saturating_sub(1)..range.end;
            (newest, range.start, total, appends[with_before].to_vec())
        });
        let entry = |index: usize| chosen[index - first.saturating_sub(1)];
        let end = first.saturating_sub(1) + chosen.len();
        let mut page = StreamPage { appends: Vec::new(), newest: Version::new(newest), next: None };
        let mut bytes = 0;
        let mut give = |reader: &mut Self, index: usize, page: &mut StreamPage| {
            if bytes >= read.limit_bytes && !page.appends.is_empty() {
                return Ok(false);
            }
            let append = reader.append(entry(index).place, Some(&read.stream))?;
            bytes += append.events.iter().map(|event| event.body.len()).sum::<usize>();
            page.appends.push(append);
            Ok(true)
        };
        let expected = |index: usize| if index == 0 { 0 } else { entry(index - 1).end() };
        match read.direction {
            Direction::Forwards => {
                let mut next = first;
                while next < end && give(self, next, &mut page)? {
                    next += 1;
                }
                if next < total {
                    page.next = Some(self.cursor(read, Version::new(expected(next)), next));
                }
            }
            Direction::Backwards => {
                let mut next = end;
                while next > first && give(self, next - 1, &mut page)? {
                    next -= 1;
                }
                if next > 0 && next < end {
                    let index = &self.shared.index;
                    let version =
                        index.stream(&read.stream, |appends| expected_of(appends, next - 1));
                    page.next = Some(self.cursor(read, Version::new(version), next - 1));
                }
            }
        }
        Ok(page)
    }

    /// The cursor that begins with the append of this index, which stands on this version.
    fn cursor(&self, read: &ReadStream, version: Version, index: usize) -> StreamCursor {
        let at = StreamCursor::at(version);
        let skip = self.shared.index.stream(&read.stream, |appends| match read.direction {
            Direction::Forwards => index - first_forwards(appends, at),
            Direction::Backwards => count_backwards(appends, at) - 1 - index,
        });
        StreamCursor { version, skip }
    }

    /// One append of a stream by id or key.
    pub(crate) fn one(
        &mut self,
        stream: &StreamId,
        by: &AppendBy,
    ) -> Result<Option<RecordedAppend>, Fault> {
        match by {
            AppendBy::Id(id) => {
                let places = self.shared.index.stream(stream, |appends| {
                    let like = appends.iter().rev().filter(|append| append.may_be(*id));
                    like.map(|append| append.place).collect::<Vec<_>>()
                });
                for place in places {
                    let append = self.append(place, Some(stream))?;
                    if append.header.id == *id {
                        return Ok(Some(append));
                    }
                }
                Ok(None)
            }
            AppendBy::Key { principal, key } => {
                let index = &self.shared.index;
                let hash = index.key_hash(stream, principal.as_deref(), key);
                let Some(place) = index.key(stream, hash) else { return Ok(None) };
                let record = self.record(place)?;
                let head = RecordHead::of(&record).map_err(|fault| corrupt(place, fault))?;
                let keyed = keyed_by(head.fields).map_err(|fault| corrupt(place, fault))?;
                if head.stream != stream.name() || keyed != Some((principal.as_deref(), key)) {
                    return Ok(None);
                }
                decode_append(&record, Some(stream))
                    .map(Some)
                    .map_err(|fault| corrupt(place, fault))
            }
        }
    }

    fn append(&mut self, place: Place, stream: Option<&StreamId>) -> Result<RecordedAppend, Fault> {
        let record = self.record(place)?;
        let append = decode_append(&record, stream).map_err(|fault| corrupt(place, fault))?;
        if stream.is_some_and(|stream| *stream != append.header.stream) {
            return Err(corrupt(
                place,
                Malformed::Wrong("an append of another stream stands here"),
            ));
        }
        Ok(append)
    }

    /// The record at a place, without its commit.
    fn record(&mut self, place: Place) -> Result<Bytes, Fault> {
        if let Some(commit) = self.shared.recent.at(place) {
            let at = (place.offset() - commit.place.offset()) as usize;
            let length = commit.bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
            return Ok(commit.bytes.slice(at..at + length as usize));
        }
        // The index may have grown since this read began: not bounded by the head that it saw.
        let info = self.shared.segments.info_now(place.segment());
        let info = info.ok_or_else(|| no_segment(place))?;
        let start = self.bytes(place, info, RECORD_AHEAD, 4)?;
        let length = start.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        let possible =
            (9..=COMMIT_BYTES_MAX).contains(&length) && place.offset() + length as u64 <= info.end;
        if !possible {
            return Err(corrupt(place, Malformed::Wrong("a record's length is not possible")));
        }
        let record = self.bytes(place, info, RECORD_AHEAD, length)?;
        if record.len() < length || !record_is_whole(&record, info.seal, place.offset()) {
            return Err(corrupt(place, Malformed::Wrong("the check of a record does not fit")));
        }
        Ok(record)
    }

    /// The commit at a place, and verified if it comes from a file.
    pub(crate) fn commit(&mut self, place: Place) -> Result<StoredCommit, Fault> {
        if let Some(commit) = self.shared.recent.at(place).filter(|commit| commit.place == place) {
            return Ok(commit);
        }
        let info = self.info(place)?;
        let start = self.bytes(place, info, COMMIT_AHEAD, COMMIT_HEADER_BYTES)?;
        let Some(start) = start.first_chunk() else {
            return Err(corrupt(place, Malformed::Wrong("the segment ends inside a commit")));
        };
        let decoded = CommitHeader::decode(start, info.seal, place.offset());
        let (header, _) = decoded.map_err(|fault| match fault {
            HeaderFault::Zero => corrupt(place, Malformed::Wrong("a commit is missing")),
            HeaderFault::Wrong(what) => corrupt(place, Malformed::Wrong(what)),
            HeaderFault::Unknown(what) => corrupt(place, Malformed::Unknown(what)),
        })?;
        let length = header.bytes() as usize;
        let bytes = self.bytes(place, info, COMMIT_AHEAD, length)?;
        let whole = bytes.len() == length
            && info.seal.check(&bytes[COMMIT_HEADER_BYTES..]) == header.body_check;
        if !whole {
            let what = "the check of the commit's body does not fit";
            return Err(corrupt(place, Malformed::Wrong(what)));
        }
        Ok(StoredCommit { place, header, bytes })
    }

    pub(crate) fn info(&self, place: Place) -> Result<SegmentInfo, Fault> {
        let info = self.shared.segments.info(place.segment(), self.durable);
        info.ok_or_else(|| no_segment(place))
    }

    fn bytes(
        &mut self,
        place: Place,
        info: SegmentInfo,
        ahead: usize,
        wanted: usize,
    ) -> Result<Bytes, Fault> {
        let Some(window) = &mut self.window else { return Err(Fault::NotInMemory) };
        let file = self.shared.segments.file(place.segment());
        let got = file.and_then(|file| {
            let from = (place.segment(), &*file);
            window.get(from, place.offset(), wanted, info.end, ahead)
        });
        got.map_err(|error| Fault::Read(read_failed(place, &error)))
    }
}

fn read_failed(place: Place, error: &io::Error) -> ReadError {
    let (segment, offset) = (place.segment(), place.offset());
    ReadError::Unavailable(format!("segment {segment} at offset {offset}: {error}"))
}

fn no_segment(place: Place) -> Fault {
    corrupt(place, Malformed::Wrong("there is no such segment"))
}

pub(crate) fn corrupt(place: Place, malformed: Malformed) -> Fault {
    let what = match malformed {
        Malformed::Wrong(what) => what.to_owned(),
        Malformed::Unknown(what) => format!("{what} is not known to this release"),
    };
    let damage = Damage::at(place.segment(), place.offset(), what);
    Fault::Read(ReadError::Corrupt(damage.to_string()))
}

/// The version that an append stands on: a stream has no gaps.
fn expected_of(appends: &[AppendEntry], index: usize) -> u64 {
    index.checked_sub(1).map_or(0, |before| appends[before].end())
}

/// Index of the first append of a page forwards, as [`StreamCursor`] says.
fn first_forwards(appends: &[AppendEntry], from: StreamCursor) -> usize {
    let version = from.version.get();
    let mut first = appends.partition_point(|append| append.end() < version);
    // Of those that end on it, the one with events belongs before; those without stand on it.
    if appends.get(first).is_some_and(|append| append.end() == version)
        && version > expected_of(appends, first)
    {
        first += 1;
    }
    (first + from.skip).min(appends.len())
}

/// How many appends are at or before the first of a page backwards.
fn count_backwards(appends: &[AppendEntry], from: StreamCursor) -> usize {
    // The first stands on version 0, each other one where the one before it ended.
    let version = from.version.get();
    let standing = appends.partition_point(|append| append.end() <= version) + 1;
    standing.min(appends.len()).saturating_sub(from.skip)
}
