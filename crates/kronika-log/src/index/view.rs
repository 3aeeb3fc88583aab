//! The appends of one stream, oldest first, wherever their entries are: in runs, then in memory.

use super::{
    AppendEntry, Index,
    fresh::InMemory,
    run::{CachedBlock, Run},
    run_set::RunSet,
};
use kronika_core::StreamId;
use std::{
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

/// Entries taken from memory at once.
const MEMORY_AHEAD: usize = 256;

/// The appends of one stream as they were when it was made. If appends were dropped from memory meanwhile, what was
/// read by it does not count, see [`StreamView::still_holds`].
#[derive(Debug)]
pub(crate) struct StreamView<'a> {
    index: &'a Index,
    stream: StreamId,
    retirements: u64,
    runs: Arc<RunSet>,
    parts: Vec<Part>,
    in_memory: InMemory,
    forgotten: u64,
    /// Entries in runs.
    in_runs: u64,
    /// The first of some entries taken from memory, and they.
    taken: (usize, Vec<AppendEntry>),
}

#[derive(Debug)]
struct Part {
    run: usize,
    entries: Range<u64>,
    /// Entries in the parts before it.
    before: u64,
    /// The block of it that was read last.
    cached: CachedBlock,
}

impl<'a> StreamView<'a> {
    /// Looks the stream up. `None` where files would have to be read for it and may not. Where reading is `slow`,
    /// the disk is told of all that will be read before any is waited for.
    pub(crate) fn new(
        index: &'a Index,
        stream: &StreamId,
        may_read_files: bool,
        slow: bool,
    ) -> io::Result<Option<Self>> {
        let retirements = index.retirements.load(Ordering::SeqCst);
        let runs = index.runs();
        let hash = index.hasher.stream(stream.name());
        let (mut parts, mut in_runs) = (Vec::new(), 0);
        // Before the runs are read: what is in neither when it is looked at here was never there.
        let (in_memory, forgotten) = index.fresh.stream(stream, runs.covered());
        let holding = || runs.runs.iter().enumerate().filter(|(_, run)| run.may_hold(hash));
        if !may_read_files && holding().next().is_some() {
            return Ok(None);
        }
        if slow {
            holding().for_each(|(_, run)| run.will_look_up(hash));
        }
        for (number, run) in holding() {
            let mut cached = None;
            let entries = run.stream(hash, &mut cached)?;
            if !entries.is_empty() {
                let (before, count) = (in_runs, entries.end - entries.start);
                parts.push(Part { run: number, entries, before, cached });
                in_runs += count;
            }
        }
        Ok(Some(Self {
            index,
            stream: stream.clone(),
            retirements,
            runs,
            parts,
            in_memory,
            forgotten,
            in_runs,
            taken: (0, Vec::new()),
        }))
    }

    /// How many appends there are.
    pub(crate) fn len(&self) -> usize {
        self.in_runs as usize + self.in_memory.appends
    }

    /// The stream's newest version.
    pub(crate) fn newest(&mut self) -> io::Result<u64> {
        match (self.in_memory.newest, self.len()) {
            (Some(newest), _) => Ok(newest),
            (None, 0) => Ok(0),
            (None, count) => {
                let newest = self.get(count - 1)?.end();
                if self.in_memory.appends == 0 && self.still_holds() {
                    self.index.fresh.remember(&self.stream, newest, self.forgotten);
                }
                Ok(newest)
            }
        }
    }

    /// The append at an index below [`StreamView::len`].
    pub(crate) fn get(&mut self, index: usize) -> io::Result<AppendEntry> {
        if let Some(in_memory) = (index as u64).checked_sub(self.in_runs) {
            return self.in_memory(in_memory as usize);
        }
        let after = self.parts.partition_point(|part| part.before <= index as u64);
        let part = &mut self.parts[after - 1];
        let run: &Run = &self.runs.runs[part.run];
        run.entry(part.entries.start + index as u64 - part.before, &mut part.cached)
    }

    fn in_memory(&mut self, index: usize) -> io::Result<AppendEntry> {
        let found = |taken: &(usize, Vec<AppendEntry>)| {
            index.checked_sub(taken.0).and_then(|at| taken.1.get(at)).copied()
        };
        if let Some(entry) = found(&self.taken) {
            return Ok(entry);
        }
        let first = index - index % MEMORY_AHEAD;
        let covered = self.runs.covered();
        let fresh = &self.index.fresh;
        self.taken = (first, fresh.appends(&self.stream, covered, first, MEMORY_AHEAD));
        // It is gone if appends were dropped meanwhile: the caller looks again.
        found(&self.taken).ok_or_else(|| io::ErrorKind::Interrupted.into())
    }

    /// Whether nothing was dropped from memory since this view was made.
    pub(crate) fn still_holds(&self) -> bool {
        self.index.retirements.load(Ordering::SeqCst) == self.retirements
    }
}
