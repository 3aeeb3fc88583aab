//! Reading: streams, single appends, and the commits and records that they stand in.
//!
//! A read first tries what is in memory, on the caller's own thread; if that is not enough it is done anew on a
//! reader thread. Whatever comes from a file is verified before it is given.

use crate::{
    commit_at::{CommitFault, Source},
    error::Damage,
    format::{COMMIT_BYTES_MAX, Malformed, RecordHead, decode_append, keyed_by, record_is_whole},
    index::{AppendEntry, StreamView},
    place::Place,
    recent::StoredCommit,
    segments::SegmentInfo,
    shared::Shared,
    window::Window,
};
use bytes::Bytes;
use kronika_core::{
    AppendBy, AppendId, Direction, ReadError, ReadStream, RecordedAppend, StreamCursor, StreamId,
    StreamPage, Version,
};
use std::{io, ops::Range};

/// Bytes read at once for a single record.
pub(crate) const RECORD_AHEAD: usize = 4 << 10;
/// Records of a page that the disk is told of at once.
const RECORDS_AHEAD_MAX: usize = 128;
/// Bytes read at once when commits are followed.
const COMMIT_AHEAD: usize = 512 << 10;
/// Newest appends of a stream that are looked at before those that may have an id are read.
const IDS_AHEAD: usize = 1024;
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
        let chosen = self.view(&read.stream, |view| Chosen::of(view, read, limit))?;
        self.will_read(&chosen);
        let newest = Version::new(chosen.newest);
        let mut page = StreamPage { appends: Vec::new(), newest, next: None };
        let mut bytes = 0;
        let mut given = 0;
        for index in chosen.order(read.direction) {
            if bytes >= read.limit_bytes && !page.appends.is_empty() {
                break;
            }
            let append = self.append(chosen.entry(index).place, Some(&read.stream))?;
            bytes += append.events.iter().map(|event| event.body.len()).sum::<usize>();
            page.appends.push(append);
            given += 1;
        }
        page.next = match read.direction {
            Direction::Forwards if chosen.range.start + given < chosen.total => {
                Some(self.cursor(read, &chosen, chosen.range.start + given)?)
            }
            Direction::Backwards if given > 0 && chosen.range.end > given => {
                Some(self.cursor(read, &chosen, chosen.range.end - given - 1)?)
            }
            _ => None,
        };
        Ok(page)
    }

    /// Where the disk is slow, tells it of the records of a page before any of them is waited for.
    fn will_read(&self, chosen: &Chosen) {
        if self.window.as_ref().is_none_or(|window| !window.is_slow) {
            return;
        }
        for index in chosen.range.clone().take(RECORDS_AHEAD_MAX) {
            let place = chosen.entry(index).place;
            if self.shared.recent.at(place).is_none()
                && let Ok(file) = self.shared.segments.file(place.segment())
            {
                file.will_read(place.offset(), RECORD_AHEAD as u64);
            }
        }
    }

    /// The cursor that begins with the append of this index. An append stands where the one before it ended.
    fn cursor(
        &mut self,
        read: &ReadStream,
        chosen: &Chosen,
        index: usize,
    ) -> Result<StreamCursor, Fault> {
        let known = |index: usize| (chosen.first..chosen.range.end).contains(&index);
        let skips_none = |version: u64| match read.direction {
            // The one before it has events, so that nothing before it stands on its version.
            Direction::Forwards => {
                index == 0
                    || (index >= 2 && known(index - 2) && chosen.entry(index - 2).end() < version)
            }
            Direction::Backwards => known(index) && chosen.entry(index).end() > version,
        };
        if index == 0 || known(index - 1) {
            let version = if index == 0 { 0 } else { chosen.entry(index - 1).end() };
            if skips_none(version) {
                return Ok(StreamCursor::at(Version::new(version)));
            }
        }
        self.view(&read.stream, |view| {
            let version = expected_of(view, index)?;
            let at = StreamCursor::at(Version::new(version));
            let skip = match read.direction {
                Direction::Forwards => index - first_forwards(view, at)?,
                Direction::Backwards => count_backwards(view, at)? - 1 - index,
            };
            Ok(StreamCursor { version: at.version, skip })
        })
    }

    /// Looks at a stream's appends, again if any were dropped from memory meanwhile.
    fn view<T>(
        &self,
        stream: &StreamId,
        mut look: impl FnMut(&mut StreamView<'_>) -> io::Result<T>,
    ) -> Result<T, Fault> {
        loop {
            let slow = self.window.as_ref().is_some_and(|window| window.is_slow);
            let view = StreamView::new(&self.shared.index, stream, self.window.is_some(), slow);
            let Some(mut view) = view.map_err(|error| self.index_failed(&error))? else {
                return Err(Fault::NotInMemory);
            };
            let seen = look(&mut view);
            if view.still_holds() {
                return seen.map_err(|error| self.index_failed(&error));
            }
        }
    }

    fn index_failed(&self, error: &io::Error) -> Fault {
        Fault::Read(ReadError::Unavailable(self.shared.index_failed(error)))
    }

    /// One append of a stream by id or key.
    pub(crate) fn one(
        &mut self,
        stream: &StreamId,
        by: &AppendBy,
    ) -> Result<Option<RecordedAppend>, Fault> {
        match by {
            AppendBy::Id(id) => self.by_id(stream, *id),
            AppendBy::Key { principal, key } => {
                let index = &self.shared.index;
                let hash = index.key_hash(stream, principal.as_deref(), key);
                let places = index.keys(stream, hash, self.window.is_none());
                let places = places.map_err(|error| self.index_failed(&error))?;
                for place in places.ok_or(Fault::NotInMemory)? {
                    let record = self.record(place)?;
                    let head = RecordHead::of(&record).map_err(|fault| corrupt(place, fault))?;
                    let keyed = keyed_by(head.fields).map_err(|fault| corrupt(place, fault))?;
                    if head.stream == stream.name() && keyed == Some((principal.as_deref(), key)) {
                        let append = decode_append(&record, Some(stream));
                        return append.map(Some).map_err(|fault| corrupt(place, fault));
                    }
                }
                Ok(None)
            }
        }
    }

    /// From the newest on: what is asked for is mostly near.
    fn by_id(&mut self, stream: &StreamId, id: AppendId) -> Result<Option<RecordedAppend>, Fault> {
        let (mut before, mut ahead) = (None, IDS_AHEAD);
        while before != Some(0) {
            let (first, places) = self.view(stream, |view| {
                let end = before.unwrap_or(view.len());
                let first = end.saturating_sub(ahead);
                let mut places = Vec::new();
                for index in (first..end).rev() {
                    let entry = view.get(index)?;
                    places.extend(entry.may_be(id).then_some(entry.place));
                }
                Ok((first, places))
            })?;
            for place in places {
                let append = self.append(place, Some(stream))?;
                if append.header.id == id {
                    return Ok(Some(append));
                }
            }
            // Each look begins anew, so there are few of them.
            (before, ahead) = (Some(first), ahead * 8);
        }
        Ok(None)
    }

    fn append(&mut self, place: Place, stream: Option<&StreamId>) -> Result<RecordedAppend, Fault> {
        self.append_ahead(place, stream, RECORD_AHEAD)
    }

    /// The append at a place; from a file so many bytes are read at once.
    pub(crate) fn append_ahead(
        &mut self,
        place: Place,
        stream: Option<&StreamId>,
        ahead: usize,
    ) -> Result<RecordedAppend, Fault> {
        let record = self.record_ahead(place, ahead).map_err(|fault| naming(fault, stream))?;
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
    pub(crate) fn record(&mut self, place: Place) -> Result<Bytes, Fault> {
        self.record_ahead(place, RECORD_AHEAD)
    }

    fn record_ahead(&mut self, place: Place, ahead: usize) -> Result<Bytes, Fault> {
        if let Some(commit) = self.shared.recent.at(place) {
            let at = (place.offset() - commit.place.offset()) as usize;
            let length = commit.bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
            return Ok(commit.bytes.slice(at..at + length as usize));
        }
        // The index may have grown since this read began: not bounded by the head that it saw.
        let info = self.shared.segments.info_now(place.segment());
        let info = info.ok_or_else(|| no_segment(place))?;
        let start = self.bytes(place, info, ahead, 4)?;
        let length = start.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        let possible =
            (9..=COMMIT_BYTES_MAX).contains(&length) && place.offset() + length as u64 <= info.end;
        if !possible {
            return Err(corrupt(place, Malformed::Wrong("a record's length is not possible")));
        }
        let record = self.bytes(place, info, ahead, length)?;
        let whole = record.len() == length && record_is_whole(&record, info.seal, place.offset());
        #[cfg(feature = "planted-faults")]
        let whole = whole || self.shared.settings.plants(crate::PlantedFault::RecordNotChecked);
        if !whole {
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
        let Some(window) = &mut self.window else { return Err(Fault::NotInMemory) };
        let file = self.shared.segments.file(place.segment());
        let file = file.map_err(|error| Fault::Read(read_failed(place, &error)))?;
        let (seal, end, ahead) = (info.seal, info.end, COMMIT_AHEAD);
        let source = Source {
            file: &*file,
            seal,
            end,
            ahead,
            #[cfg(feature = "planted-faults")]
            unchecked: self.shared.settings.plants(crate::PlantedFault::BodyNotCheckedInReads),
        };
        let commit = source.commit(window, place.offset()).map_err(|fault| fault.must_be(place));
        match commit {
            Ok((commit, _)) => Ok(commit),
            Err(CommitFault::Io(error)) => Err(Fault::Read(read_failed(place, &error))),
            Err(CommitFault::Damaged(damage)) => {
                Err(Fault::Read(ReadError::Corrupt(damage.to_string())))
            }
            Err(CommitFault::Missing) => unreachable!("it must be there"),
        }
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

/// Damage with the stream that is affected.
fn naming(fault: Fault, stream: Option<&StreamId>) -> Fault {
    match (fault, stream) {
        (Fault::Read(ReadError::Corrupt(what)), Some(stream)) => {
            Fault::Read(ReadError::Corrupt(format!("{what}; streams {stream}")))
        }
        (fault, _) => fault,
    }
}

pub(crate) fn corrupt(place: Place, malformed: Malformed) -> Fault {
    let damage = Damage::at(place.segment(), place.offset(), malformed.to_string());
    Fault::Read(ReadError::Corrupt(damage.to_string()))
}

/// The entries of a page, and what its cursor needs.
struct Chosen {
    newest: u64,
    total: usize,
    /// Indexes of the page's appends.
    range: Range<usize>,
    /// Entries from `first` on, which is up to two before the page.
    first: usize,
    entries: Vec<AppendEntry>,
}

impl Chosen {
    fn of(view: &mut StreamView<'_>, read: &ReadStream, limit: usize) -> io::Result<Self> {
        let (newest, total) = (view.newest()?, view.len());
        let range = match read.direction {
            Direction::Forwards => {
                let first = first_forwards(view, read.from)?;
                first..total.min(first + limit)
            }
            Direction::Backwards => {
                let after = count_backwards(view, read.from)?;
                after.saturating_sub(limit)..after
            }
        };
        let first = range.start.saturating_sub(2);
        let entries = (first..range.end).map(|index| view.get(index));
        Ok(Self { newest, total, first, entries: entries.collect::<io::Result<_>>()?, range })
    }

    fn entry(&self, index: usize) -> AppendEntry {
        self.entries[index - self.first]
    }

    fn order(&self, direction: Direction) -> Box<dyn Iterator<Item = usize>> {
        match direction {
            Direction::Forwards => Box::new(self.range.clone()),
            Direction::Backwards => Box::new(self.range.clone().rev()),
        }
    }
}

/// The version that an append stands on: a stream has no gaps.
fn expected_of(view: &mut StreamView<'_>, index: usize) -> io::Result<u64> {
    index.checked_sub(1).map_or(Ok(0), |before| Ok(view.get(before)?.end()))
}

/// How many appends come before the first one that does not end below, or not at or below, a version.
fn ending_before(view: &mut StreamView<'_>, is_before: impl Fn(u64) -> bool) -> io::Result<usize> {
    let (mut low, mut high) = (0, view.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(view.get(middle)?.end()) { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Index of the first append of a page forwards, as [`StreamCursor`] says.
fn first_forwards(view: &mut StreamView<'_>, from: StreamCursor) -> io::Result<usize> {
    let version = from.version.get();
    let mut first = 0;
    if version > 0 {
        first = ending_before(view, |end| end < version)?;
        // Of those that end on it, the one with events belongs before; those without stand on it.
        let ends_on_it = first < view.len() && view.get(first)?.end() == version;
        if ends_on_it && version > expected_of(view, first)? {
            first += 1;
        }
    }
    Ok(first.saturating_add(from.skip).min(view.len()))
}

/// How many appends are at or before the first of a page backwards.
fn count_backwards(view: &mut StreamView<'_>, from: StreamCursor) -> io::Result<usize> {
    // The first stands on version 0, each other one where the one before it ended.
    let version = from.version.get();
    let standing = match version {
        u64::MAX => view.len(),
        _ => ending_before(view, |end| end <= version)? + 1,
    };
    Ok(standing.min(view.len()).saturating_sub(from.skip))
}
