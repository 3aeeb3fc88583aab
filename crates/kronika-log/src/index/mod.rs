//! Where everything stands: derived from the log. It says where to look and never what is there: what is read is
//! verified.
//!
//! Appends of sealed segments are in runs, on disk. In memory are those of the segments that have no run yet, the
//! newest versions of streams that were used lately, and the filters of the runs: all of it bounded, however long
//! the log is.

mod entry;
mod filter;
mod fresh;
mod run;
mod run_set;
mod run_sums;
mod run_write;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use entry::{AppendEntry, Hasher, KeyEntry, StreamEntry, VERSION_MAX};
pub(crate) use fresh::Admitted;
pub(crate) use run::Run;
pub(crate) use run_set::RunSet;
pub(crate) use run_sums::RunSums;
pub(crate) use run_write::{Target, merge_runs, write_run};
pub(crate) use view::StreamView;

use crate::place::Place;
use fresh::Fresh;
use kronika_core::{Position, StreamId, Version};
use std::{
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes of log between two commits that are indexed by position.
pub(crate) const COMMITS_APART: u64 = 16 << 10;

/// The log's index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) hasher: Hasher,
    fresh: Fresh,
    runs: RwLock<Arc<RunSet>>,
    /// How often appends were dropped from memory, since a run holds them: counted before they are.
    retirements: AtomicU64,
    /// Commits by position, of segments without a footer.
    commits: RwLock<Vec<(u64, Place)>>,
}

/// Why an append was not let in.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// The stream has another version.
    Found(Version),
    /// The index could not be read.
    Failed(io::Error),
}

impl Index {
    pub(crate) fn new(hasher: Hasher, runs: RunSet, heads_max: usize) -> Self {
        Self {
            hasher,
            fresh: Fresh::new(heads_max),
            runs: RwLock::new(Arc::new(runs)),
            retirements: AtomicU64::new(0),
            commits: RwLock::default(),
        }
    }

    /// The runs as they are now.
    pub(crate) fn runs(&self) -> Arc<RunSet> {
        Arc::clone(&self.runs.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other runs, which hold at least what those before them held; and drops from memory what they hold.
    pub(crate) fn publish(&self, runs: RunSet) {
        let covered = runs.covered();
        let mut current = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        let grew = covered > current.covered();
        *current = Arc::new(runs);
        drop(current);
        if !grew {
            return;
        }
        // Whoever read memory before this looks again.
        self.retirements.fetch_add(1, Ordering::SeqCst);
        self.fresh.retire(covered);
        let mut commits = self.commits.write().unwrap_or_else(PoisonError::into_inner);
        let held = commits.partition_point(|(_, place)| place.segment() <= covered);
        commits.drain(..held);
    }

    /// Drops from memory what no run holds yet.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn retire_early(&self, segment: u32) {
        self.fresh.retire(segment);
    }

    /// Lets an append in if the stream's newest version is the expected one. Only one thread lets appends in: what a
    /// stream that is not in memory has is in runs, which are read without a lock that readers take too.
    pub(crate) fn admit(
        &self,
        stream: &StreamId,
        expected: Version,
        events: u64,
    ) -> Result<Admitted, NotAdmitted> {
        let admit = |base| self.fresh.admit(stream, expected.get(), events, base);
        let admitted = match admit(None) {
            Some(admitted) => admitted,
            None => {
                let newest = self.newest_in_runs(stream).map_err(NotAdmitted::Failed)?;
                admit(Some(newest)).expect("a base is given")
            }
        };
        admitted.map_err(NotAdmitted::Found)
    }

    /// Lets an append in that was let in when it was written: a stream that is not in memory is believed to have
    /// been at the version that it stands on.
    pub(crate) fn replay(
        &self,
        stream: &StreamId,
        expected: Version,
        events: u64,
    ) -> Result<Admitted, Version> {
        let base = Some(expected.get());
        self.fresh.admit(stream, expected.get(), events, base).expect("a base is given")
    }

    /// The newest version of a stream that is not in memory.
    fn newest_in_runs(&self, stream: &StreamId) -> io::Result<u64> {
        let runs = self.runs();
        let hash = self.hasher.stream(stream.name());
        for run in runs.runs.iter().rev().filter(|run| run.may_hold(hash)) {
            let mut cached = None;
            let range = run.stream(hash, &mut cached)?;
            if !range.is_empty() {
                return Ok(run.entry(range.end - 1, &mut cached)?.end());
            }
        }
        Ok(0)
    }

    /// The newest version of a stream, durable or about to be.
    pub(crate) fn newest(&self, stream: &StreamId) -> io::Result<Version> {
        let (found, _) = self.fresh.stream(stream, 0);
        found.newest.map_or_else(|| self.newest_in_runs(stream), Ok).map(Version::new)
    }

    /// Takes the last admission back that was not taken back yet.
    pub(crate) fn withdraw(&self, stream: &StreamId, admitted: Admitted) {
        self.fresh.withdraw(stream, admitted);
    }

    /// An admitted append is durable.
    pub(crate) fn record(&self, admitted: Admitted, entry: AppendEntry, key: Option<u128>) {
        self.fresh.record(admitted, entry, key);
    }

    /// A durable commit whose first event has this position, or the next event if it has none.
    pub(crate) fn record_commit(&self, first: Position, place: Place) {
        let mut commits = self.commits.write().unwrap_or_else(PoisonError::into_inner);
        let apart = commits.last().is_none_or(|(_, last)| is_apart(*last, place));
        if apart {
            commits.push((first.get(), place));
        }
    }

    /// A commit in a segment without a footer, at or before the one that holds the position; `None` if there is
    /// none at or before it.
    pub(crate) fn commit_before(&self, position: Position) -> Option<Place> {
        let commits = self.commits.read().unwrap_or_else(PoisonError::into_inner);
        let after = commits.partition_point(|(first, _)| *first <= position.get());
        commits.get(after.checked_sub(1)?).map(|(_, place)| *place)
    }

    /// Places of appends that may have a key, newest first; `in_memory` looks at no file, and gives nothing where
    /// it would have to.
    pub(crate) fn keys(
        &self,
        stream: &StreamId,
        hash: u128,
        in_memory: bool,
    ) -> io::Result<Option<Vec<Place>>> {
        loop {
            let before = self.retirements.load(Ordering::SeqCst);
            let runs = self.runs();
            let mut places = Vec::from_iter(self.fresh.key(stream, hash));
            for run in runs.runs.iter().rev().filter(|run| run.may_hold(hash)) {
                if in_memory {
                    return Ok(None);
                }
                places.extend(run.key(hash)?);
            }
            if self.retirements.load(Ordering::SeqCst) == before {
                places.dedup();
                return Ok(Some(places));
            }
        }
    }

    /// Hash of an idempotency key in its scope.
    pub(crate) fn key_hash(&self, stream: &StreamId, principal: Option<&str>, key: &str) -> u128 {
        self.hasher.key(stream.name(), principal, key)
    }

    /// Streams of which something is in memory.
    pub(crate) fn streams_in_memory(&self) -> usize {
        self.fresh.streams()
    }
}

/// Whether a commit is so far behind the last one that is indexed by position that it is indexed too.
pub(crate) fn is_apart(last: Place, place: Place) -> bool {
    last.segment() != place.segment() || place.offset() - last.offset() >= COMMITS_APART
}
