//! Backup: a copy of a journal while it is written, up to where it was durable at the start.
//!
//! It goes commit by commit and verifies each. Repeated, it copies what is new: the chain of commits tells by the
//! first commit of the backup's last segment that all before it are the same, so segments that are whole in the
//! backup are neither read nor written again. (Whether they are still what was written, `verify` tells.)

use super::{
    copy::{SegmentCopy, make_directory, write_head},
    error::ToolError,
    extent::{End, Extent},
    files::JournalFiles,
    report::as_text,
    scan::{Progress, Scanner},
};
use crate::{
    disk::read_full,
    format::{COMMIT_HEADER_BYTES, FIRST_COMMIT},
    segments::segment_path,
};
use kronika_core::{Incarnation, Position};
use serde::Serialize;

/// What a backup came to.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// Which history it is: the journal's.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// Position of the last event in the backup.
    pub head: Position,
    /// Number of the last commit in the backup.
    pub commits: u64,
    /// Segments that were copied.
    pub segments_copied: u64,
    /// Segments that were there already.
    pub segments_kept: u64,
    /// Bytes of commits that were copied.
    pub bytes_copied: u64,
}

impl BackupReport {
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        let (head, commits) = (Position::ZERO, 0);
        let (segments_copied, segments_kept, bytes_copied) = (0, 0, 0);
        Self { incarnation, head, commits, segments_copied, segments_kept, bytes_copied }
    }
}

/// Copies a journal into the directory of `destination`, which becomes a journal that opens as the same incarnation.
/// If it holds an earlier backup of this journal, that is brought up to date; a backup that is interrupted is simply
/// made again. Nobody may have the destination open.
///
/// # Errors
/// The destination holds another history or is ahead, one of the two is damaged, or a disk fails. An earlier backup
/// is then as it was, or further.
pub fn backup(
    files: &JournalFiles,
    destination: &JournalFiles,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackupReport, ToolError> {
    let extent = Extent::of(files)?;
    let mut report = BackupReport::new(extent.incarnation);
    let there = match Extent::of(destination) {
        Ok(there) => Some(compare(files, &extent, destination, there)?),
        Err(ToolError::NoJournal { .. }) => None,
        Err(error) => return Err(error),
    };
    make_directory(destination)?;
    let first = there.map_or(1, |there| there.place.segment());
    report.segments_kept = u64::from(first) - 1;
    let mut scanner = Scanner::starting(files, extent, first)?;
    let mut copy = Copy { destination, report: &mut report, next: first };
    let end = copy.run(&mut scanner, there, progress)?;
    write_head(destination, &end.head(scanner.incarnation()))?;
    (report.head, report.commits) = (Position::new(end.position), end.number);
    Ok(report)
}

/// Whether what is there is an earlier backup; gives where it ends.
fn compare(
    files: &JournalFiles,
    extent: &Extent,
    destination: &JournalFiles,
    mut there: Extent,
) -> Result<End, ToolError> {
    let path = || destination.path.clone();
    if there.incarnation != extent.incarnation {
        let (found, expected) = (there.incarnation, extent.incarnation);
        return Err(ToolError::AnotherHistory { path: path(), found, expected });
    }
    if let Some(fault) = there.fault.take() {
        return Err(fault);
    }
    let end = there.end.expect("only a fault hides the end");
    if let Some(now) = extent.end.filter(|now| now.number < end.number) {
        return Err(ToolError::Ahead { path: path(), found: end.number, commit: now.number });
    }
    // Segments are made with a salt of their own: the same header is the same segment.
    for number in 1..=end.place.segment() {
        if destination.open_segment(number)?.sector != files.open_segment(number)?.sector {
            return Err(ToolError::Diverged { path: path(), commit: end.number });
        }
    }
    if end.number == 0 {
        return Ok(end);
    }
    // The commit's header names its predecessor, that one names its own, and so on.
    let last = end.place.segment();
    if first_header(files, last)? != first_header(destination, last)? {
        return Err(ToolError::Diverged { path: path(), commit: end.number });
    }
    Ok(end)
}

fn first_header(files: &JournalFiles, number: u32) -> Result<[u8; 64], ToolError> {
    let mut header = [0; COMMIT_HEADER_BYTES];
    let failed = |error| ToolError::reading(&segment_path(&files.path, number), error);
    read_full(&*files.open_segment(number)?.file, &mut header, FIRST_COMMIT).map_err(failed)?;
    Ok(header)
}

/// Copying segments, commit by commit.
pub(crate) struct Copy<'a> {
    pub(crate) destination: &'a JournalFiles,
    pub(crate) report: &'a mut BackupReport,
    /// The segment that is copied next.
    pub(crate) next: u32,
}

impl Copy<'_> {
    /// Copies what the scan gives; gives where that ends. What is there already must be a part of it.
    pub(crate) fn run(
        &mut self,
        scanner: &mut Scanner,
        there: Option<End>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<End, ToolError> {
        let mut copy: Option<SegmentCopy> = None;
        while let Some(commit) = scanner.next() {
            let commit = commit?;
            while self.next <= commit.segment() {
                copy.take().map_or(Ok(()), SegmentCopy::finish)?;
                copy = Some(self.begin(&scanner.files)?);
            }
            let segment = copy.as_mut().expect("a segment was begun");
            assert_eq!(segment.end(), commit.offset(), "commits stand back to back");
            segment.commit(&commit.stored.bytes)?;
            self.report.bytes_copied += commit.bytes();
            let same =
                |there: End| there.number != commit.number() || there.previous == commit.check;
            if !there.is_none_or(same) {
                let (path, commit) = (self.destination.path.clone(), commit.number());
                return Err(ToolError::Diverged { path, commit });
            }
            progress(scanner.progress());
        }
        let end = scanner.extent.end.expect("damage that hides the end was met by the scan");
        // Where nothing was recorded yet there is a segment all the same.
        let copy = copy.map_or_else(|| self.begin(&scanner.files), Ok)?;
        copy.finish()?;
        Ok(end)
    }

    fn begin(&mut self, files: &JournalFiles) -> Result<SegmentCopy, ToolError> {
        let segment = files.open_segment(self.next)?;
        let copy = SegmentCopy::begin(self.destination, &segment.sector, &segment.header)?;
        self.next += 1;
        self.report.segments_copied += 1;
        Ok(copy)
    }
}
