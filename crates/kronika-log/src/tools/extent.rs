//! How far a journal is to be read: to the published head where a process has it open, else to its sound end.
//!
//! It is found once, before anything else is read, so that a journal which grows meanwhile gives one consistent cut.
//! A process that opens the journal while its end is looked for is noticed afterwards, and the end looked for anew.

use super::{
    error::ToolError,
    files::{JournalFiles, OpenSegment},
};
use crate::{
    disk::read_full,
    error::OpenError,
    format::{COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, CommitHeader, FIRST_COMMIT, PublishedHead},
    place::Place,
    segments::segment_path,
    tail::{Verdict, judge},
    window::Window,
};
use kronika_core::Incarnation;
use std::{thread, time::Duration};

/// Between two looks at a journal that is being opened.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
const TRIES: usize = 50;
/// Bytes read ahead.
const READ_AHEAD: usize = 1 << 20;

/// How far a journal is to be read.
#[derive(Debug)]
pub(crate) struct Extent {
    pub(crate) incarnation: Incarnation,
    /// Numbers of the segments that are there.
    pub(crate) segments: Vec<u32>,
    /// The published head, where it is one of this history.
    pub(crate) head: Option<PublishedHead>,
    /// Whether a process has the journal open.
    pub(crate) held: bool,
    /// `None` where damage hides the end: then everything is read, and nobody can open the journal meanwhile.
    pub(crate) end: Option<End>,
    /// What a torn write left behind the end, and the next opening heals.
    pub(crate) torn: Option<Torn>,
    /// What hides the end.
    pub(crate) fault: Option<ToolError>,
}

/// What a torn write left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) place: Place,
    pub(crate) bytes: u64,
}

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) place: Place,
    /// Number of the last commit, and the check of its header.
    pub(crate) number: u64,
    pub(crate) previous: u32,
    /// Position of the last event.
    pub(crate) position: u64,
}

impl Extent {
    pub(crate) fn of(files: &JournalFiles) -> Result<Self, ToolError> {
        for tried in 0..TRIES {
            if tried > 0 {
                thread::sleep(BETWEEN_TRIES);
            }
            let (held, head) = (files.is_held()?, files.head()?);
            let segments = files.segments()?;
            if segments.is_empty() {
                if held {
                    continue;
                }
                let missing = |segment| ToolError::damaged(segment, 0, "the segment is missing");
                let nothing = ToolError::NoJournal { path: files.path.clone() };
                return Err(head.map_or(nothing, |head| missing(head.end.segment())));
            }
            let incarnation = incarnation(files, &segments)?;
            let head = head.filter(|head| head.incarnation == incarnation.get());
            let (end, torn, fault) = (None, None, None);
            let mut extent = Self { incarnation, segments, head, held, end, torn, fault };
            if held {
                if let Some(head) = head {
                    extent.end = Some(End::published(&head));
                    return Ok(extent);
                }
                continue;
            }
            extent.find_end(files)?;
            if !files.is_held()? && files.head()?.filter(|now| Some(*now) != head).is_none() {
                return Ok(extent);
            }
        }
        Err(ToolError::NotPublished { path: files.path.clone() })
    }

    /// Looks for the sound end: from the published head on, or else in the last segment that holds a commit.
    fn find_end(&mut self, files: &JournalFiles) -> Result<(), ToolError> {
        let there = |head: &PublishedHead| self.segments.contains(&head.end.segment());
        if let Some(head) = self.head.filter(there)
            && let Ok(found) = Walk::from_head(self, files, &head).run()
        {
            (self.end, self.torn) = (Some(found.0), found.1);
            return Ok(());
        }
        let (end, torn) = match Walk::from_last(self, files).and_then(Walk::run) {
            Ok(found) => found,
            Err(fault @ ToolError::Journal(OpenError::Damaged(_) | OpenError::Unknown { .. })) => {
                self.fault = Some(fault);
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let behind = |head: &PublishedHead| {
            let another = head.number == end.number && head.previous != end.previous;
            head.number > end.number || another
        };
        if self.head.as_ref().is_some_and(behind) {
            let (segment, offset) = (end.place.segment(), end.place.offset());
            let what = "the log ends before what was published as durable";
            self.fault = Some(ToolError::damaged(segment, offset, what));
            return Ok(());
        }
        (self.end, self.torn) = (Some(end), torn);
        Ok(())
    }
}

/// That of the first segment whose header is right.
fn incarnation(files: &JournalFiles, segments: &[u32]) -> Result<Incarnation, ToolError> {
    let mut opened = segments.iter().map(|segment| files.open_segment(*segment));
    let first = opened.next().expect("a journal has a segment");
    let found = first.or_else(|error| opened.find_map(Result::ok).ok_or(error))?;
    Ok(found.header.incarnation)
}

impl End {
    fn published(head: &PublishedHead) -> Self {
        let PublishedHead { end, number, previous, position, .. } = *head;
        Self { place: end, number, previous, position }
    }

    /// What is published of it.
    pub(crate) fn head(&self, incarnation: Incarnation) -> PublishedHead {
        let Self { place: end, number, previous, position } = *self;
        PublishedHead { incarnation: incarnation.get(), end, number, previous, position }
    }
}

/// A walk over the last commits.
struct Walk<'a> {
    files: &'a JournalFiles,
    segments: &'a [u32],
    window: Window,
    /// The end so far; `None` before the first commit of a segment whose predecessor is not known.
    end: Option<End>,
    at: Place,
}

impl<'a> Walk<'a> {
    fn from_head(extent: &'a Extent, files: &'a JournalFiles, head: &PublishedHead) -> Self {
        let (segments, window) = (&extent.segments[..], Window::default());
        Self { files, segments, window, end: Some(End::published(head)), at: head.end }
    }

    fn from_last(extent: &'a Extent, files: &'a JournalFiles) -> Result<Self, ToolError> {
        let (segments, window) = (&extent.segments[..], Window::default());
        let first = *segments.first().expect("a journal has a segment");
        let nothing =
            End { place: Place::new(1, FIRST_COMMIT), number: 0, previous: 0, position: 0 };
        let at = nothing.place;
        let mut walk = Self { files, segments, window, end: None, at };
        for segment in segments.iter().rev() {
            walk.at = Place::new(*segment, FIRST_COMMIT);
            let opened = files.open_segment(*segment)?;
            if *segment == first || matches!(walk.judge(&opened)?, Verdict::Sound(..)) {
                break;
            }
        }
        walk.end = (walk.at == nothing.place).then_some(nothing);
        Ok(walk)
    }

    /// The end, and what is torn behind it.
    fn run(mut self) -> Result<(End, Option<Torn>), ToolError> {
        let mut torn = None;
        let mut ended = false;
        let first = self.at.segment();
        for segment in self.segments.iter().filter(|number| **number >= first) {
            if *segment != self.at.segment() {
                self.at = Place::new(*segment, FIRST_COMMIT);
            }
            let opened = self.files.open_segment(*segment)?;
            let begun = self.at;
            loop {
                let (number, offset) = (self.at.segment(), self.at.offset());
                match self.judge(&opened)? {
                    Verdict::End => break,
                    _ if torn.is_some() || ended => {
                        return Err(ToolError::damaged(number, offset, "commits are missing"));
                    }
                    Verdict::Sound(header, check) => self.take(&header, check)?,
                    Verdict::Torn(bytes) => {
                        torn = Some(Torn { place: self.at, bytes });
                        break;
                    }
                    Verdict::Damaged(what) => {
                        return Err(ToolError::damaged(number, offset, what));
                    }
                    Verdict::Unknown(what) => {
                        let unknown = OpenError::Unknown { what, segment: number, offset };
                        return Err(unknown.into());
                    }
                }
            }
            // Only the first segment may be passed over, by a commit that it has no room for.
            ended |= self.at == begun && begun.offset() == FIRST_COMMIT && *segment > 1;
        }
        let nothing = || ToolError::damaged(self.at.segment(), 0, "the segment before is missing");
        Ok((self.end.ok_or_else(nothing)?, torn))
    }

    fn take(&mut self, header: &CommitHeader, check: u32) -> Result<(), ToolError> {
        let continues =
            |end: &End| header.number == end.number + 1 && header.previous == end.previous;
        if !self.end.as_ref().is_none_or(continues) {
            let (segment, offset) = (self.at.segment(), self.at.offset());
            let what = "the commit does not continue the one before it";
            return Err(ToolError::damaged(segment, offset, what));
        }
        self.at = Place::new(self.at.segment(), self.at.offset() + header.bytes());
        let position = (header.first_position + u64::from(header.events)).saturating_sub(1);
        let number = header.number;
        self.end = Some(End { place: self.at, number, previous: check, position });
        Ok(())
    }

    /// Judges what stands at the present place; the rest of the segment is looked at only where no commit stands.
    fn judge(&mut self, segment: &OpenSegment) -> Result<Verdict, ToolError> {
        let (number, offset, bytes) = (self.at.segment(), self.at.offset(), segment.header.bytes);
        let seal = segment.header.seal();
        let path = segment_path(&self.files.path, number);
        let failed = |error| ToolError::reading(&path, error);
        let from = (number, &*segment.file);
        let mut get = |wanted| self.window.get(from, offset, wanted, bytes, READ_AHEAD);
        let first = get(COMMIT_HEADER_BYTES).map_err(failed)?;
        let header = first.first_chunk().map(|first| CommitHeader::decode(first, seal, offset));
        if let Some(Ok((header, _))) = header {
            let commit = get(header.bytes() as usize).map_err(failed)?;
            if let sound @ Verdict::Sound(..) = judge(&commit, seal, offset) {
                return Ok(sound);
            }
        }
        let near = bytes.min(offset + COMMIT_BYTES_MAX as u64);
        let far = self.files.first_used(segment, near, bytes)?.is_some();
        let mut rest = vec![0; (near - offset) as usize];
        read_full(&*segment.file, &mut rest, offset).map_err(failed)?;
        Ok(match judge(&rest, seal, offset) {
            Verdict::End | Verdict::Torn(_) if far => {
                Verdict::Damaged("bytes stand behind where a commit could end")
            }
            verdict => verdict,
        })
    }
}
