//! Verification: every check and every invariant of a journal, beside the process that writes it or without one.
//!
//! It keeps 24 bytes in memory for each stream, up to twice that while its table grows, and a few MiB besides. It
//! goes on behind damage, so that all of it is told: behind a commit whose header is right, or else in the next
//! segment.

use super::{
    derived::{is_derived, verify_derived},
    error::ToolError,
    files::{JournalFiles, OpenSegment},
    report::{Finding, VerifyReport},
    scan::{Progress, Scanner},
    scanned::ScannedCommit,
    streams::StreamVersions,
};
use crate::{
    error::OpenError,
    format::{FIRST_COMMIT, SEGMENT_HEADER_BYTES},
    place::Place,
    recover::HEAD_FILE,
    segments::{UNREADY_SUFFIX, segment_of},
};
use kronika_core::{Epoch, Position, SLICES};

/// Verifies a journal: checksums, the chain of commits, positions, times, versions, epochs, unused space, the
/// published head, and what else lies in the directory. `progress` is told after each commit.
///
/// # Errors
/// Only where the journal cannot be read, or is of a later release; what is wrong with it is in the report.
pub fn verify(
    files: &JournalFiles,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, ToolError> {
    let mut scanner = Scanner::new(files)?;
    let mut verifying = Verifying::new(files, &scanner);
    while let Some(step) = scanner.next() {
        match step {
            Ok(commit) => verifying.commit(&commit)?,
            Err(error) => verifying.damage(error)?,
        }
        for ended in scanner.ended.drain(..) {
            verifying.segment_ended(ended)?;
        }
        progress(scanner.progress());
    }
    for ended in scanner.ended.drain(..) {
        verifying.segment_ended(ended)?;
    }
    verifying.end(&scanner)?;
    verifying.head(&scanner)?;
    verifying.directory()?;
    let VerifyReport { segments, .. } = &mut verifying.report;
    *segments = verifying.segments_used;
    verifying.report.streams = verifying.streams.len();
    Ok(verifying.report)
}

pub(super) struct Verifying<'a> {
    files: &'a JournalFiles,
    report: VerifyReport,
    streams: StreamVersions,
    epochs: Vec<Epoch>,
    /// Whether commits were left out, so that an epoch may have been claimed unseen.
    left_out: bool,
    /// The last segment that holds a commit, and how many do.
    segment: u32,
    segments_used: u64,
    /// A segment without a commit, other than the first.
    empty: Option<u32>,
    /// The published head, until its commit was met.
    head: Option<crate::format::PublishedHead>,
}

impl<'a> Verifying<'a> {
    pub(super) fn new(files: &'a JournalFiles, scanner: &Scanner) -> Self {
        let report = VerifyReport {
            incarnation: scanner.incarnation(),
            in_use: scanner.extent.held,
            segments: 0,
            commits: 0,
            claims: 0,
            appends: 0,
            events: 0,
            streams: 0,
            commit_bytes: 0,
            head: Position::ZERO,
            first_time: None,
            last_time: None,
            torn_bytes: scanner.extent.torn.map_or(0, |torn| torn.bytes),
            findings: Vec::new(),
            findings_left_out: 0,
            notes: Vec::new(),
        };
        Self {
            files,
            report,
            streams: StreamVersions::default(),
            epochs: vec![Epoch::default(); usize::from(SLICES)],
            left_out: false,
            segment: 0,
            segments_used: 0,
            empty: None,
            head: scanner.extent.head,
        }
    }

    fn commit(&mut self, commit: &ScannedCommit) -> Result<(), ToolError> {
        if let Some(empty) = self.empty.take() {
            let what = "the segment has no commits, and there are some behind it";
            self.report.find(Finding::damage(empty, FIRST_COMMIT, what));
        }
        if self.segment != commit.segment() {
            self.segment = commit.segment();
            self.segments_used += 1;
        }
        self.report.commits += 1;
        self.report.commit_bytes += commit.bytes();
        self.report.events += commit.events();
        self.report.head = commit.last_position();
        self.report.first_time.get_or_insert(commit.time());
        self.report.last_time = Some(commit.time());
        self.compare_head(commit);
        for append in commit.appends()? {
            match append {
                Ok(append) => self.append(commit, &append.header, append.events.len() as u64),
                Err(error) => self.damage(error)?,
            }
        }
        for (slices, epoch) in commit.claims()? {
            self.report.claims += 1;
            let range = usize::from(slices.first())..=usize::from(slices.last());
            let present = &mut self.epochs[range];
            if present.iter().any(|present| *present >= epoch) && !self.left_out {
                let what = format!("a claim of epoch {epoch} does not raise it");
                self.report.find(Finding::damage(commit.segment(), commit.offset(), what));
            }
            present.fill(epoch);
        }
        Ok(())
    }

    fn append(&mut self, commit: &ScannedCommit, header: &kronika_core::AppendHeader, events: u64) {
        self.report.appends += 1;
        let stream = &header.stream;
        let mut find = |what: String| {
            let mut finding = Finding::damage(commit.segment(), commit.offset(), what);
            finding.streams.push(stream.clone());
            self.report.find(finding);
        };
        let expected = header.expected.get();
        if let Some(newest) = self.streams.append(stream, expected, events) {
            find(format!("an append stands on version {expected}, its stream has {newest}"));
        }
        let present = self.epochs[usize::from(stream.slice().get())];
        if header.epoch < present {
            find(format!("an append of epoch {} stands behind a claim of {present}", header.epoch));
        }
    }

    /// A place that is wrong. The scan goes on behind it, so versions may jump once.
    pub(super) fn damage(&mut self, error: ToolError) -> Result<(), ToolError> {
        let finding = match error {
            ToolError::Journal(OpenError::Damaged(damage)) => {
                let streams = damage.streams;
                Finding { streams, ..Finding::damage(damage.segment, damage.offset, damage.what) }
            }
            ToolError::Journal(OpenError::Unknown { what, segment, offset }) => {
                let what = format!("{what} is not known to this release");
                Finding::damage(segment, offset, what)
            }
            other => return Err(other),
        };
        self.report.find(finding);
        self.streams.gap();
        self.left_out = true;
        Ok(())
    }

    /// A segment whose commits end at a place, behind which nothing was ever written.
    pub(super) fn segment_ended(&mut self, end: Place) -> Result<(), ToolError> {
        if end.offset() == FIRST_COMMIT && end.segment() > 1 {
            self.empty.get_or_insert(end.segment());
        }
        match self.files.open_segment(end.segment()) {
            Ok(segment) => self.space(&segment, end.offset()),
            Err(error) => self.damage(error),
        }
    }

    /// The space between the header and the first commit, and from an offset to the end of the file, is zero.
    fn space(&mut self, segment: &OpenSegment, from: u64) -> Result<(), ToolError> {
        #[cfg(feature = "planted-faults")]
        if self.files.plants(crate::PlantedFault::SpaceNotSeen) {
            return Ok(());
        }
        let header = &segment.header;
        for (from, to) in [(SEGMENT_HEADER_BYTES as u64, FIRST_COMMIT), (from, header.bytes)] {
            if let Some(offset) = self.files.first_used(segment, from, to)? {
                let what = "space that was made ready and never used is not zero";
                self.report.find(Finding::damage(header.segment, offset, what));
            }
        }
        Ok(())
    }

    /// What was found.
    #[cfg(feature = "simulation")]
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.report.findings
    }

    /// The segment in which the log ends, and those that were made ahead.
    pub(super) fn end(&mut self, scanner: &Scanner) -> Result<(), ToolError> {
        let Some(end) = scanner.extent.end else { return Ok(()) };
        let torn = scanner.extent.torn;
        let ready = scanner.extent.segments.iter().filter(|number| **number >= end.place.segment());
        for (ahead, number) in ready.enumerate() {
            let number = *number;
            let segment = match self.files.open_segment(number) {
                Ok(segment) => segment,
                Err(error) => {
                    self.damage(error)?;
                    continue;
                }
            };
            if segment.header.incarnation != self.report.incarnation {
                let what = "the segment belongs to another history";
                self.report.find(Finding::damage(number, 0, what));
            }
            if u64::from(number) != u64::from(end.place.segment()) + ahead as u64 {
                self.report.find(Finding::damage(number, 0, "the segment before it is missing"));
            }
            if scanner.extent.held {
                // What stands behind the head is being written.
                self.space(&segment, segment.header.bytes)?;
                continue;
            }
            let used = match torn {
                Some(torn) if torn.place.segment() == number => torn.place.offset() + torn.bytes,
                _ if ahead == 0 => end.place.offset(),
                _ => FIRST_COMMIT,
            };
            // A segment is made ahead only when something in the one before it is durable.
            if number > end.place.segment().saturating_add(1) {
                let what = "a segment without commits has another behind it";
                self.report.find(Finding::damage(number, 0, what));
            }
            self.space(&segment, used)?;
        }
        if scanner.extent.held {
            let note = "a process has the journal open: it was verified up to the published head";
            self.report.notes.push(note.to_owned());
        }
        if let Some(torn) = torn {
            self.report.notes.push(format!(
                "segment {} ends in a torn write of {} bytes at offset {}, which was never acknowledged; the next \
                 opening removes it",
                torn.place.segment(),
                torn.bytes,
                torn.place.offset()
            ));
        }
        Ok(())
    }

    /// The published head is that of one of the commits.
    fn compare_head(&mut self, commit: &ScannedCommit) {
        let Some(head) = self.head.filter(|head| head.number <= commit.number()) else { return };
        self.head = None;
        let end = Place::new(commit.segment(), commit.offset() + commit.bytes());
        let fits = head.number == commit.number()
            && (head.end, head.previous) == (end, commit.check)
            && head.position == commit.last_position().get();
        // A head of no commits stands before the first one.
        if !fits && head.number > 0 && !self.left_out {
            let what = format!("it does not fit commit {}", head.number);
            self.report.find(Finding::derived(HEAD_FILE, 0, what));
        }
    }

    /// The published head as a file.
    fn head(&mut self, scanner: &Scanner) -> Result<(), ToolError> {
        let bytes = self.files.head_bytes()?;
        match (&scanner.extent.head, bytes) {
            (Some(_), _) => {}
            (None, None) => self.report.notes.push("there is no published head".to_owned()),
            (None, Some(bytes)) if bytes.iter().all(|byte| *byte == 0) => {
                self.report.notes.push("the published head is empty".to_owned());
            }
            (None, Some(_)) if self.files.head()?.is_some() => {
                let note = "the published head is of another history, and is ignored";
                self.report.notes.push(note.to_owned());
            }
            (None, Some(_)) => {
                self.report.find(Finding::derived(HEAD_FILE, 0, "its check does not fit"));
            }
        }
        Ok(())
    }

    /// What else lies in the directory.
    fn directory(&mut self) -> Result<(), ToolError> {
        let mut names = self.files.names()?;
        names.sort_unstable();
        let mut derived = Vec::new();
        for name in names {
            if segment_of(&name).is_some() || name == HEAD_FILE {
                continue;
            }
            if is_derived(&name) {
                derived.push(name);
            } else if name.ends_with(UNREADY_SUFFIX) {
                if !self.report.in_use {
                    let note = format!("{name} was never finished; the next opening removes it");
                    self.report.notes.push(note);
                }
            } else {
                self.report.notes.push(format!("{name} is no file of the journal"));
            }
        }
        if self.left_out || !self.report.is_sound() {
            let note = "footers and runs were not looked at, since the journal itself is not sound";
            self.report.notes.extend((!derived.is_empty()).then(|| note.to_owned()));
            return Ok(());
        }
        verify_derived(self.files, &derived, &mut self.report)
    }
}
