//! A scan over the commits of a journal, in order, every check verified: what all tools stand on.
//!
//! It reads to where the journal was durable when the scan began, in chunks, and never beyond. After damage it can
//! be asked for more: it goes on behind a commit whose header is right, or else in the next segment.

use super::{
    error::ToolError,
    extent::Extent,
    files::{JournalFiles, OpenSegment},
    scanned::{ScannedCommit, malformed},
};
use crate::{
    disk::{OpenMode, read_full},
    error::{Damage, OpenError},
    format::{
        COMMIT_HEADER_BYTES, CommitHeader, CommitKind, FIRST_COMMIT, HeaderFault, Malformed,
        RecordHead, decode_control, record_is_whole,
    },
    place::Place,
    recent::StoredCommit,
    replay::streams_damaged,
    segments::segment_path,
    window::Window,
};
use kronika_core::{Incarnation, Position, Timestamp};

/// Bytes read ahead.
const READ_AHEAD: usize = 1 << 20;

/// How far a tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the journal that are done.
    pub done_bytes: u64,
    /// Bytes that there are to do.
    pub total_bytes: u64,
}

/// A scan over commits. Its items are damaged places too, and it goes on behind them.
#[derive(Debug)]
pub struct Scanner {
    pub(crate) files: JournalFiles,
    pub(crate) extent: Extent,
    open: Option<OpenSegment>,
    window: Window,
    at: Place,
    /// What the next commit must continue; `None` where that is not known.
    chain: Option<Chain>,
    /// Segments that were read to where their commits end, with that offset, since they were last taken.
    pub(crate) ended: Vec<Place>,
    passed_bytes: u64,
    total_bytes: u64,
    finished: bool,
    met_damage: bool,
}

/// The end of the commit before.
#[derive(Debug, Clone, Copy)]
struct Chain {
    number: u64,
    previous: u32,
    position: u64,
    time: i64,
}

impl Chain {
    const EMPTY: Self = Self { number: 0, previous: 0, position: 0, time: i64::MIN };
}

impl Iterator for Scanner {
    type Item = Result<ScannedCommit, ToolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        self.met_damage |= step.is_err();
        step.transpose()
    }
}

impl Scanner {
    /// A scan of the whole journal.
    ///
    /// # Errors
    /// There is no journal, or it cannot be read. Damage is met later, where it stands.
    pub fn new(files: &JournalFiles) -> Result<Self, ToolError> {
        Self::to(files, Extent::of(files)?)
    }

    fn to(files: &JournalFiles, extent: Extent) -> Result<Self, ToolError> {
        let mut scanner = Self {
            files: files.clone(),
            extent,
            open: None,
            window: Window::default(),
            at: Place::new(1, FIRST_COMMIT),
            chain: Some(Chain::EMPTY),
            ended: Vec::new(),
            passed_bytes: 0,
            total_bytes: 0,
            finished: false,
            met_damage: false,
        };
        scanner.total_bytes = scanner.bytes_from(1);
        Ok(scanner)
    }

    /// A scan that begins in the segment in which the event after a position stands, at its first commit.
    pub fn after(files: &JournalFiles, after: Position) -> Result<Self, ToolError> {
        let mut scanner = Self::new(files)?;
        let last = scanner.extent.end.map_or(u32::MAX, |end| end.place.segment());
        let segments = &scanner.extent.segments;
        let there = segments.iter().take_while(|number| **number <= last).count();
        // By the first commits of segments. What cannot be read there is met by scanning from further back.
        let (mut low, mut high) = (0, there);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            match scanner.first_position(segments[middle]) {
                Some(first) if first <= after.get() + 1 => low = middle,
                Some(_) => high = middle,
                None => return Ok(scanner),
            }
        }
        if low > 0 {
            scanner.begin(segments[low]);
        }
        Ok(scanner)
    }

    /// A scan to an end that was found before, from a segment on.
    pub(crate) fn starting(
        files: &JournalFiles,
        extent: Extent,
        segment: u32,
    ) -> Result<Self, ToolError> {
        let mut scanner = Self::to(files, extent)?;
        if segment > 1 {
            scanner.begin(segment);
        }
        Ok(scanner)
    }

    /// A scan that begins with a segment. What its first commit continues is not known.
    pub fn from_segment(files: &JournalFiles, segment: u32) -> Result<Self, ToolError> {
        Self::starting(files, Extent::of(files)?, segment)
    }

    fn begin(&mut self, segment: u32) {
        (self.at, self.chain) = (Place::new(segment, FIRST_COMMIT), None);
        self.total_bytes = self.bytes_from(segment);
    }

    fn first_position(&self, segment: u32) -> Option<u64> {
        let opened = self.files.open_segment(segment).ok()?;
        let mut bytes = [0; COMMIT_HEADER_BYTES];
        read_full(&*opened.file, &mut bytes, FIRST_COMMIT).ok()?;
        let decoded = CommitHeader::decode(&bytes, opened.header.seal(), FIRST_COMMIT);
        decoded.ok().map(|(header, _)| header.first_position)
    }

    /// Bytes to read from a segment on; for progress only.
    fn bytes_from(&self, segment: u32) -> u64 {
        let end = self.extent.end.map(|end| end.place);
        let read = self.extent.segments.iter().filter(|number| **number >= segment);
        let bytes = read.map(|number| match end {
            Some(end) if *number == end.segment() => end.offset(),
            Some(end) if *number > end.segment() => 0,
            _ => self.bytes_of_file(*number),
        });
        bytes.sum()
    }

    /// Which history this is.
    pub fn incarnation(&self) -> Incarnation {
        self.extent.incarnation
    }

    /// Bytes of all segments' files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.extent.segments.iter().map(|number| self.bytes_of_file(*number)).sum()
    }

    fn bytes_of_file(&self, segment: u32) -> u64 {
        let path = segment_path(&self.files.path, segment);
        let file = self.files.disk.open(&path, OpenMode::Read);
        file.and_then(|file| file.length()).unwrap_or(0)
    }

    /// When the last commit was recorded.
    pub(crate) fn last_time(&self) -> Option<Timestamp> {
        let last = self.chain.filter(|chain| chain.number > 0);
        last.map(|chain| Timestamp::new(chain.time))
    }

    /// How far the scan is.
    pub fn progress(&self) -> Progress {
        let here = if self.open.is_some() { self.at.offset() } else { 0 };
        let total_bytes = self.total_bytes;
        Progress { done_bytes: (self.passed_bytes + here).min(total_bytes), total_bytes }
    }

    /// Goes on to where the journal is durable now; whether that is further than before.
    pub fn follow(&mut self) -> Result<bool, ToolError> {
        let head = self.files.head()?;
        if head.is_none() || (head == self.extent.head && self.extent.end.is_some()) {
            return Ok(false);
        }
        let extent = Extent::of(&self.files)?;
        if extent.incarnation != self.extent.incarnation {
            return Err(ToolError::AnotherHistory {
                path: self.files.path.clone(),
                found: extent.incarnation,
                expected: self.extent.incarnation,
            });
        }
        let further = extent.end.map(|end| end.number) > self.extent.end.map(|end| end.number);
        (self.extent, self.finished) = (extent, false);
        Ok(further)
    }

    fn step(&mut self) -> Result<Option<ScannedCommit>, ToolError> {
        loop {
            if self.finished {
                // What hides the end was met by the scan already, or else it is told now.
                let fault = self.extent.fault.take().filter(|_| !self.met_damage);
                return fault.map_or(Ok(None), Err);
            }
            if let Some(end) = self.extent.end.filter(|end| self.at >= end.place) {
                self.finished = true;
                let fits =
                    |chain: &Chain| (chain.number, chain.previous) == (end.number, end.previous);
                if self.chain.as_ref().is_none_or(fits) {
                    continue;
                }
                let (segment, offset) = (end.place.segment(), end.place.offset());
                let what = "the log does not end with the commit that was published as durable";
                return Err(ToolError::damaged(segment, offset, what));
            }
            if self.open.as_ref().is_none_or(|open| open.header.segment != self.at.segment()) {
                self.open()?;
            }
            match self.commit() {
                Ok(None) => self.end_of_segment()?,
                done => return done,
            }
        }
    }

    fn open(&mut self) -> Result<(), ToolError> {
        let number = self.at.segment();
        let opened = self.files.open_segment(number).and_then(|opened| {
            if opened.header.incarnation == self.extent.incarnation {
                return Ok(opened);
            }
            Err(ToolError::damaged(number, 0, "the segment belongs to another history"))
        });
        match opened {
            Ok(opened) => self.open = Some(opened),
            Err(error) => {
                self.chain = None;
                self.skip_segment();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The commit at the present place; `None` where the segment's commits end.
    fn commit(&mut self) -> Result<Option<ScannedCommit>, ToolError> {
        let open = self.open.as_ref().expect("it was opened");
        let (number, offset, seal) = (self.at.segment(), self.at.offset(), open.header.seal());
        let ends_here = self.extent.end.filter(|end| end.place.segment() == number);
        let limit = ends_here.map_or(open.header.bytes, |end| end.place.offset());
        let path = segment_path(&self.files.path, number);
        let failed = |error| ToolError::reading(&path, error);
        let window = &mut self.window;
        let mut get = |wanted| window.get((number, &*open.file), offset, wanted, limit, READ_AHEAD);
        let first = get(COMMIT_HEADER_BYTES).map_err(failed)?;
        let decoded = first.first_chunk().map(|first| CommitHeader::decode(first, seal, offset));
        let wrong = |what: &'static str| malformed(self.at, Malformed::Wrong(what));
        let error = match decoded {
            None if offset + COMMIT_HEADER_BYTES as u64 <= limit => {
                wrong("the file ends too early")
            }
            Some(Err(HeaderFault::Zero)) if ends_here.is_some() => wrong("a commit is missing"),
            None | Some(Err(HeaderFault::Zero)) => return Ok(None),
            Some(Err(HeaderFault::Wrong(what))) => wrong(what),
            Some(Err(HeaderFault::Unknown(what))) => malformed(self.at, Malformed::Unknown(what)),
            Some(Ok((header, _))) if offset + header.bytes() > limit => {
                wrong("the commit goes on beyond the end of the log")
            }
            Some(Ok((header, check))) => {
                let bytes = get(header.bytes() as usize).map_err(failed)?;
                let stored = StoredCommit { place: self.at, header, bytes };
                let commit = ScannedCommit { stored, check, seal };
                return self.checked(commit).map(Some);
            }
        };
        self.chain = None;
        self.skip_segment();
        Err(error)
    }

    /// A commit whose header is right: what else must be so. In any case the scan goes on behind it.
    fn checked(&mut self, commit: ScannedCommit) -> Result<ScannedCommit, ToolError> {
        let ScannedCommit { stored, check, seal } = &commit;
        let (header, place) = (&stored.header, stored.place);
        let (number, previous, time) = (header.number, *check, header.time);
        let position = commit.last_position().get();
        let before = self.chain.replace(Chain { number, previous, position, time });
        self.at = Place::new(place.segment(), place.offset() + header.bytes());
        let whole = stored.bytes.len() as u64 == header.bytes()
            && seal.check(&stored.bytes[COMMIT_HEADER_BYTES..]) == header.body_check;
        #[cfg(feature = "planted-faults")]
        if self.files.plants(crate::PlantedFault::CopiedUnseen) {
            return Ok(commit);
        }
        if !whole {
            let what = "the check of the commit's body does not fit";
            let mut damage = Damage::at(place.segment(), place.offset(), what);
            damage.streams = streams_damaged(&stored.bytes, *seal, place.offset());
            return Err(OpenError::Damaged(damage).into());
        }
        let wrong = |what: &'static str| Err(malformed(place, Malformed::Wrong(what)));
        if let Some(before) = before {
            if (header.number, header.previous) != (before.number + 1, before.previous) {
                return wrong("the commit does not continue the one before it");
            }
            if header.first_position != before.position + 1 {
                return wrong("the commit's position is not the next one");
            }
            if header.time < before.time {
                return wrong("the commit's time goes back");
            }
        }
        records_fit(&commit)?;
        Ok(commit)
    }

    fn end_of_segment(&mut self) -> Result<(), ToolError> {
        let at = self.at;
        self.ended.push(at);
        self.skip_segment();
        if self.finished && self.extent.end.is_some() {
            let what = "the log ends before what was published as durable";
            return Err(ToolError::damaged(at.segment(), at.offset(), what));
        }
        let next = self.at.segment();
        if !self.finished && next != at.segment() + 1 {
            self.chain = None;
            return Err(ToolError::damaged(at.segment() + 1, 0, "the segment is missing"));
        }
        Ok(())
    }

    /// Goes on with the next segment that is there.
    fn skip_segment(&mut self) {
        let number = self.at.segment();
        self.passed_bytes += self.open.take().map_or(0, |open| open.header.bytes);
        match self.extent.segments.iter().find(|next| **next > number) {
            Some(next) => self.at = Place::new(*next, FIRST_COMMIT),
            None => self.finished = true,
        }
    }
}

/// The records of a commit: their own checks, their numbers, positions and times.
fn records_fit(commit: &ScannedCommit) -> Result<(), ToolError> {
    let header = &commit.stored.header;
    let mut next = header.first_position;
    for record in commit.records()? {
        let (place, record) = record.map_err(|fault| malformed(commit.stored.place, fault))?;
        let wrong = |what: &'static str| Err(malformed(place, Malformed::Wrong(what)));
        if !record_is_whole(record, commit.seal, place.offset()) {
            return wrong("the check of a record does not fit");
        }
        if header.kind == CommitKind::Control {
            decode_control(&record[8..]).map_err(|fault| malformed(place, fault))?;
            continue;
        }
        let head = RecordHead::of(record).map_err(|fault| malformed(place, fault))?;
        if head.first.get() != next {
            return wrong("an append's position is not the next one");
        }
        if head.time.get() != header.time {
            return wrong("an append's time is not its commit's");
        }
        next += u64::from(head.events);
    }
    if next - header.first_position != u64::from(header.events) {
        let what = "the commit's number of events is not that of its records";
        return Err(malformed(commit.stored.place, Malformed::Wrong(what)));
    }
    Ok(())
}
