//! Reading by position: commits one after the other, filtered.

use crate::{
    by_footer::Ended,
    format::{CommitKind, RecordHead, decode_append_of},
    place::Place,
    read::{Fault, Reader, corrupt},
    recent::StoredCommit,
    replay::Records,
};
use bytes::Bytes;
use kronika_core::{
    EventFilter, EventId, Mark, PartitionId, PartitionPage, Position, ReadPartition,
    RecordedAppend, Slice, SliceRange,
};

/// Bytes of log that one page looks at, however little passes its filter.
pub(crate) const PAGE_SCANNED_BYTES_MAX: u64 = 16 << 20;

/// Events that room is made for when a page begins.
const EVENTS_EXPECTED: usize = 1024;

/// What was looked at last.
pub(crate) enum Scanned {
    Nothing,
    Event(Mark),
    /// An event whose mark is computed only if the page ends here.
    Read(PartitionId, Position, EventId),
    /// An append that did not pass: its mark is computed only if the page ends here.
    Append(Place, Bytes),
    /// The same, of which only the place is known.
    At(Place),
}

/// A page that is being filled.
pub(crate) struct Filling<'a> {
    pub(crate) read: &'a ReadPartition,
    page: PartitionPage,
    bytes: usize,
    pub(crate) scanned: Scanned,
    /// Bytes of log or index.
    pub(crate) looked_at: u64,
}

impl Reader<'_> {
    /// A page of events after a position; `head` is the last durable event.
    pub(crate) fn partition(
        &mut self,
        read: &ReadPartition,
        head: Mark,
    ) -> Result<PartitionPage, Fault> {
        let page = PartitionPage { events: Vec::new(), scanned: head, at_head: true };
        if read.after >= head.position {
            return Ok(page);
        }
        let scanned = Scanned::Nothing;
        let mut filling = Filling { read, page, bytes: 0, scanned, looked_at: 0 };
        let mut place = self.start(read.after)?;
        let (mut full, mut decoding) = (false, None);
        while !full && filling.looked_at < PAGE_SCANNED_BYTES_MAX {
            if place.offset() >= self.info(place)?.end {
                if place.segment() == self.durable.segment() {
                    return Ok(filling.page);
                }
                place = Place::new(place.segment() + 1, crate::format::FIRST_COMMIT);
                continue;
            }
            // What was decoded of a segment is not to be given again by its footer.
            if decoding != Some(place.segment()) {
                match self.by_footer(&mut filling, place.segment())? {
                    None => decoding = Some(place.segment()),
                    Some(Ended::Full) => full = true,
                    Some(Ended::Segment) => {
                        place = Place::new(place.segment() + 1, crate::format::FIRST_COMMIT);
                    }
                }
                continue;
            }
            let commit = self.commit(place)?;
            if commit.has_after(read.after) {
                filling.looked_at += commit.bytes.len() as u64;
                full = filling.commit(&commit)?;
            }
            place = commit.end();
        }
        self.finish(filling, head)
    }

    /// A commit at or before the one that holds the next event.
    fn start(&self, after: Position) -> Result<Place, Fault> {
        if let Some(commit) = self.shared.recent.holding(after) {
            return Ok(commit.place);
        }
        if self.window.is_none() {
            return Err(Fault::NotInMemory);
        }
        let next = after.plus(1);
        let segment = self.shared.segments.holding(next);
        let first = Place::new(segment, crate::format::FIRST_COMMIT);
        // A footer that cannot be read costs time, and no more.
        let found = if segment <= self.shared.index.runs().covered() {
            let footer = self.shared.segments.footer(segment);
            footer.and_then(|footer| footer.commit_before(next)).ok()
        } else {
            self.shared.index.commit_before(next)
        };
        Ok(found.filter(|place| place.segment() == segment).unwrap_or(first))
    }

    fn finish(&mut self, filling: Filling<'_>, head: Mark) -> Result<PartitionPage, Fault> {
        let Filling { mut page, scanned, .. } = filling;
        let mark = |place, record: &[u8]| last_mark(record).map_err(|fault| corrupt(place, fault));
        page.scanned = match scanned {
            Scanned::Nothing => return Ok(page),
            Scanned::Event(mark) => mark,
            Scanned::Read(partition, position, id) => Mark::at(partition, position, id),
            Scanned::Append(place, record) => mark(place, &record)?,
            Scanned::At(place) => mark(place, &self.record(place)?)?,
        };
        page.at_head = page.scanned == head;
        Ok(page)
    }
}

impl Filling<'_> {
    /// Takes the events of a commit; true when the page is full.
    fn commit(&mut self, commit: &StoredCommit) -> Result<bool, Fault> {
        assert_eq!(commit.header.kind, CommitKind::Appends, "only these hold events");
        let at = |place| move |malformed| corrupt(place, malformed);
        for record in Records::of(commit).map_err(at(commit.place))? {
            let (place, record) = record.map_err(at(commit.place))?;
            let head = RecordHead::of(record).map_err(at(place))?;
            let last = head.first.get() + u64::from(head.events);
            if head.events == 0 || last - 1 <= self.read.after.get() {
                continue;
            }
            let record = commit.bytes.slice_ref(record);
            if !admits_name(&self.read.filter, head.stream) {
                self.scanned = Scanned::Append(place, record);
                continue;
            }
            let append = decode_append_of(&head, &record, None).map_err(at(place))?;
            if self.append(append) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn append(&mut self, append: RecordedAppend) -> bool {
        let after = self.read.after;
        for event in append.events.into_iter().filter(|event| event.position > after) {
            if self.is_full() {
                return true;
            }
            self.scanned = Scanned::Read(event.append.partition, event.position, event.id);
            if self.read.filter.admits_tags(&event.tags) {
                if self.page.events.is_empty() {
                    self.page.events.reserve(self.read.limit_events.min(EVENTS_EXPECTED));
                }
                self.bytes += event.body.len();
                self.page.events.push(event);
            }
        }
        self.is_full()
    }

    fn is_full(&self) -> bool {
        let events = self.page.events.len();
        events > 0 && (events >= self.read.limit_events || self.bytes >= self.read.limit_bytes)
    }
}

fn last_mark(record: &[u8]) -> Result<Mark, crate::format::Malformed> {
    let head = RecordHead::of(record)?;
    let last = head.last_event()?.expect("an append without events is passed over");
    let position = Position::new(head.first.get() + u64::from(head.events) - 1);
    Ok(Mark::at(Mark::default().partition, position, last))
}

/// As [`EventFilter::admits_stream`], by the stream's name alone.
fn admits_name(filter: &EventFilter, name: &str) -> bool {
    let aggregate_type = name.split_once('/').map_or(name, |(aggregate_type, _)| aggregate_type);
    (filter.slices == SliceRange::ALL || filter.slices.contains(Slice::of(name)))
        && (filter.types.is_empty() || filter.types.iter().any(|one| one == aggregate_type))
}
