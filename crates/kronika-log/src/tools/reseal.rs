//! Writing commits of one history into another: the same records in the same places, every check made anew.

use super::{
    copy::SegmentCopy,
    error::ToolError,
    extent::End,
    files::JournalFiles,
    restore::{RestoreReport, RestoreTo},
    scan::{Progress, Scanner},
    scanned::{ScannedCommit, malformed},
};
use crate::{
    format::{
        COMMIT_HEADER_BYTES, CommitHeader, CommitKind, FIRST_COMMIT, RecordHead, SegmentHeader,
        seal_body,
    },
    place::Place,
    random::Random,
};
use kronika_core::{Incarnation, Position, Timestamp};

/// A history that is being written.
pub(crate) struct Reseal<'a> {
    destination: &'a JournalFiles,
    to: RestoreTo,
    random: Random,
    segment: Option<(SegmentHeader, SegmentCopy)>,
    /// The segment that is begun next.
    next: u32,
    end: End,
    report: RestoreReport,
}

/// The records of a commit that are kept.
struct Kept {
    bytes: Vec<u8>,
    records: u32,
    events: u32,
    /// Whether all of them are.
    whole: bool,
}

impl<'a> Reseal<'a> {
    pub(crate) fn new(
        destination: &'a JournalFiles,
        incarnation: Incarnation,
        to: RestoreTo,
        random: Random,
    ) -> Self {
        let place = Place::new(1, FIRST_COMMIT);
        let end = End { place, number: 0, previous: 0, position: 0 };
        let report = RestoreReport {
            incarnation,
            from: incarnation,
            head: Position::ZERO,
            commits: 0,
            last_time: None,
            events_rounded_off: 0,
        };
        Self { destination, to, random, segment: None, next: 1, end, report }
    }

    /// Writes what is before the place to restore to; gives where it ends.
    pub(crate) fn run(
        mut self,
        scanner: &mut Scanner,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(End, RestoreReport), ToolError> {
        while let Some(commit) = scanner.next() {
            let commit = commit?;
            if matches!(self.to, RestoreTo::Time(time) if commit.time() > time) {
                break;
            }
            let kept = self.keep(&commit)?;
            let whole = kept.whole;
            if kept.records > 0 {
                self.commit(scanner, &commit, kept)?;
            }
            progress(scanner.progress());
            if !whole {
                break;
            }
        }
        if self.segment.is_none() {
            self.begin(scanner)?;
        }
        self.finish_segment()?;
        self.report.head = Position::new(self.end.position);
        self.report.commits = self.end.number;
        Ok((self.end, self.report))
    }

    /// The records of a commit before the first append that goes beyond the position to restore to.
    fn keep(&mut self, commit: &ScannedCommit) -> Result<Kept, ToolError> {
        let mut kept =
            Kept { bytes: vec![0; COMMIT_HEADER_BYTES], records: 0, events: 0, whole: true };
        for record in commit.records()? {
            let (place, record) = record.map_err(|fault| malformed(commit.stored.place, fault))?;
            if commit.stored.header.kind == CommitKind::Appends {
                let head = RecordHead::of(record).map_err(|fault| malformed(place, fault))?;
                let (first, events) = (head.first.get(), u64::from(head.events));
                if let RestoreTo::Position(position) = self.to
                    && events > 0
                    && first + events - 1 > position.get()
                {
                    self.report.events_rounded_off = (position.get() + 1).saturating_sub(first);
                    kept.whole = false;
                    return Ok(kept);
                }
                kept.events += u32::from(head.events);
            }
            kept.bytes.extend_from_slice(record);
            kept.records += 1;
        }
        Ok(kept)
    }

    fn commit(
        &mut self,
        scanner: &Scanner,
        commit: &ScannedCommit,
        mut kept: Kept,
    ) -> Result<(), ToolError> {
        while self.next <= commit.segment() {
            self.finish_segment()?;
            self.begin(scanner)?;
        }
        let (segment, copy) = self.segment.as_mut().expect("a segment was begun");
        let (offset, seal) = (copy.end(), segment.seal());
        let (sparse_sectors, body_check) = seal_body(&mut kept.bytes, kept.records, seal, offset);
        let body_bytes = kept.bytes.len() - COMMIT_HEADER_BYTES;
        let header = CommitHeader {
            extended: false,
            sparse_sectors,
            body_bytes: u32::try_from(body_bytes).expect("a commit is bounded"),
            records: kept.records,
            events: kept.events,
            number: self.end.number + 1,
            previous: self.end.previous,
            body_check,
            ..commit.stored.header
        };
        let (head, check) = header.encode(seal, offset);
        kept.bytes[..COMMIT_HEADER_BYTES].copy_from_slice(&head);
        copy.commit(&kept.bytes)?;
        self.end = End {
            place: Place::new(segment.segment, copy.end()),
            number: header.number,
            previous: check,
            position: header.first_position + u64::from(header.events) - 1,
        };
        self.report.last_time = Some(Timestamp::new(header.time));
        Ok(())
    }

    /// Begins a segment as long as the one that it is made from.
    fn begin(&mut self, scanner: &Scanner) -> Result<(), ToolError> {
        let from = scanner.files.open_segment(self.next)?.header;
        let incarnation = self.report.incarnation;
        let header = SegmentHeader { incarnation, salt: self.random.next(), ..from };
        let copy = SegmentCopy::begin(self.destination, &header.encode(), &header)?;
        self.segment = Some((header, copy));
        self.next += 1;
        Ok(())
    }

    fn finish_segment(&mut self) -> Result<(), ToolError> {
        self.segment.take().map_or(Ok(()), |(_, copy)| copy.finish())
    }
}
