//! Restore: a journal from a backup or from any other journal, whole or as it was at a position or a time.
//!
//! Whole, it is the same history. Cut, it is a new one: it has an incarnation of its own, so that whoever saw what was
//! cut off notices, and all its checks are made anew. Until it is complete no opening accepts it.

use super::{
    backup::{BackupReport, Copy},
    copy::{make_directory, write_head},
    error::ToolError,
    extent::End,
    files::JournalFiles,
    report::as_text,
    reseal::Reseal,
    scan::{Progress, Scanner},
    time,
};
use crate::{
    format::{FIRST_COMMIT, PublishedHead},
    place::Place,
    random::Random,
    recover::HEAD_FILE,
    segments::{UNREADY_SUFFIX, segment_of},
};
use kronika_core::{Incarnation, Position, Timestamp};
use serde::Serialize;

/// Up to where a journal is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreTo {
    /// All of it: the same history.
    Whole,
    /// As it was when the event at a position was its last one. Appends are whole: one that goes beyond it is left
    /// out.
    Position(Position),
    /// As it was at a time: without what was recorded later.
    Time(Timestamp),
}

/// What a restore came to.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Which history the restored journal is.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// Which history it was made from; another one where it was cut.
    #[serde(serialize_with = "as_text")]
    pub from: Incarnation,
    /// Position of its last event.
    pub head: Position,
    /// Commits in it.
    pub commits: u64,
    /// When the last of them was recorded.
    #[serde(serialize_with = "time::serialize_some")]
    pub last_time: Option<Timestamp>,
    /// Events that were asked for and belong to an append that goes beyond: they were left out.
    pub events_rounded_off: u64,
}

/// Restores a journal into the directory of `destination`, which must be empty or absent.
///
/// # Errors
/// The journal is damaged before the place to restore to, was never so far, or a disk fails. What was made of the
/// destination is removed again.
pub fn restore(
    files: &JournalFiles,
    destination: &JournalFiles,
    to: RestoreTo,
    progress: &mut dyn FnMut(Progress),
) -> Result<RestoreReport, ToolError> {
    let mut scanner = Scanner::new(files)?;
    let from = scanner.incarnation();
    if let (RestoreTo::Position(wanted), Some(end)) = (to, scanner.extent.end)
        && wanted.get() > end.position
    {
        return Err(ToolError::Beyond { wanted, newest: Position::new(end.position) });
    }
    if !destination.names()?.is_empty() {
        return Err(ToolError::NotEmpty { path: destination.path.clone() });
    }
    make_directory(destination)?;
    let mut random = Random::new(None);
    let incarnation = match to {
        RestoreTo::Whole => from,
        #[cfg(feature = "planted-faults")]
        _ if files.plants(crate::PlantedFault::SameIncarnation) => from,
        _ => Incarnation::new(u128::from(random.next()) << 64 | u128::from(random.next())),
    };
    write_head(destination, &unfinished(incarnation))?;
    let restored = match to {
        RestoreTo::Whole => whole(&mut scanner, destination, progress),
        _ => Reseal::new(destination, incarnation, to, random).run(&mut scanner, progress),
    };
    let finished = restored.and_then(|(end, mut report)| {
        write_head(destination, &end.head(incarnation))?;
        report.from = from;
        Ok(report)
    });
    if finished.is_err() {
        remove(destination);
    }
    finished
}

/// The head of a journal that is not complete: far beyond its end, so that opening refuses it.
fn unfinished(incarnation: Incarnation) -> PublishedHead {
    let end = Place::new(u32::MAX, FIRST_COMMIT);
    let (number, position, previous) = (u64::MAX, 0, 0);
    PublishedHead { incarnation: incarnation.get(), end, number, position, previous }
}

fn whole(
    scanner: &mut Scanner,
    destination: &JournalFiles,
    progress: &mut dyn FnMut(Progress),
) -> Result<(End, RestoreReport), ToolError> {
    let mut copied = BackupReport::new(scanner.incarnation());
    let mut copy = Copy { destination, report: &mut copied, next: 1 };
    let end = copy.run(scanner, None, progress)?;
    let report = RestoreReport {
        incarnation: scanner.incarnation(),
        from: scanner.incarnation(),
        head: Position::new(end.position),
        commits: end.number,
        last_time: scanner.last_time(),
        events_rounded_off: 0,
    };
    Ok((end, report))
}

/// Removes what was made: the directory was empty before.
fn remove(destination: &JournalFiles) {
    let made = |name: &&String| {
        segment_of(name).is_some() || name.ends_with(UNREADY_SUFFIX) || *name == HEAD_FILE
    };
    // The head goes last: until then no opening takes what is left for a journal.
    let mut names = destination.names().unwrap_or_default();
    names.sort_by_key(|name| name == HEAD_FILE);
    for name in names.iter().filter(made) {
        let _ = destination.disk.remove(&destination.path.join(name));
    }
}
