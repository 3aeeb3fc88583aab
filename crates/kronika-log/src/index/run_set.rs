//! The runs that a log has: neighbouring ranges of segments from the first on, without gaps.

use super::run::Run;
use crate::{disk::Disk, segments::run_of};
use std::{path::Path, sync::Arc};

/// So many runs of one size are merged into one.
const FAN_IN: usize = 8;

/// Runs that cover the segments from the first to the last one that has a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunSet {
    pub(crate) runs: Vec<Arc<Run>>,
}

impl RunSet {
    /// The last segment that is covered; 0 if there is none.
    pub(crate) fn covered(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.last)
    }

    /// Bytes that they hold in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.memory_bytes()).sum()
    }

    /// Opens what there is of runs, up to a segment: of those that begin with a segment the longest that is whole.
    /// `end_check` tells of a segment the check of its last commit's header.
    pub(crate) fn open(
        disk: &dyn Disk,
        directory: &Path,
        names: &[String],
        last: u32,
        filter_bytes: u64,
        end_check: impl Fn(u32) -> Option<u32>,
    ) -> Self {
        let mut found = names.iter().filter_map(|name| run_of(name)).collect::<Vec<_>>();
        found.retain(|(first, end)| first <= end && *end <= last);
        found.sort_unstable_by_key(|(first, end)| (*first, std::cmp::Reverse(*end)));
        let mut set = Self::default();
        for segments in found {
            if segments.0 != set.covered() + 1 {
                continue;
            }
            let left = filter_bytes.saturating_sub(set.memory_bytes());
            let opened = Run::open(disk, directory, segments, left).ok();
            let fits = |run: &Run| end_check(run.last) == Some(run.layout.end_check);
            set.runs.extend(opened.filter(fits).map(Arc::new));
        }
        set
    }

    /// The oldest neighbours of one size that are to be merged, if there are enough: never more at a time, since
    /// each is read ahead.
    pub(crate) fn to_merge(&self) -> Option<&[Arc<Run>]> {
        let level = |run: &Run| run.segments().ilog(FAN_IN as u32);
        let mut alike = self.runs.chunk_by(|one, next| level(one) == level(next));
        alike.find(|runs| runs.len() >= FAN_IN).map(|runs| &runs[..FAN_IN])
    }

    /// Bytes of memory for filters that are left to a run of these segments, of so many for all.
    pub(crate) fn room(&self, index_bytes: u64, (first, last): (u32, u32)) -> u64 {
        let others = self.runs.iter().filter(|run| run.last < first || run.first > last);
        index_bytes.saturating_sub(others.map(|run| run.memory_bytes()).sum())
    }

    /// With one run instead of those that it was merged from.
    pub(crate) fn replaced(&self, merged: Arc<Run>) -> Self {
        let (first, last) = (merged.first, merged.last);
        let before = self.runs.iter().filter(|run| run.last < first).cloned();
        let behind = self.runs.iter().filter(|run| run.first > last).cloned();
        Self { runs: before.chain([merged]).chain(behind).collect() }
    }
}
