//! Sealing while a log is opened, where what is derived was lost: so that memory and open files are bounded.

use super::{FULL_MAX, Scan};
use crate::{
    error::OpenError,
    index::{Run, RunSet, Target, merge_runs},
    pace::Pace,
    seal_segment::{FullSegment, SealFault, seal_segment},
    segments::run_path,
};
use std::{io, sync::Arc};

impl Scan<'_> {
    /// The full segments that are not sealed.
    pub(super) fn full(&self) -> Vec<FullSegment> {
        let full = self.opened.iter().take_while(|opened| opened.header.segment < self.active);
        let full = full.map(|opened| FullSegment {
            segment: opened.header.segment,
            seal: opened.header.seal(),
            check: opened.header.check(),
            end: self.end(opened.header.segment),
        });
        full.collect()
    }

    /// Seals full segments while too many are not: what is derived may have been lost, and memory is bounded.
    pub(super) fn seal_some(&mut self) -> Result<(), OpenError> {
        while self.seals && self.full().len() > FULL_MAX {
            match self.seal(self.full()[0]) {
                Ok(()) => {}
                Err(SealFault::Damaged(damage)) => return Err(OpenError::Damaged(damage)),
                Err(SealFault::Io(_)) => self.seals = false,
            }
        }
        Ok(())
    }

    /// Seals the first full segment. Where that fails nothing has changed here.
    fn seal(&mut self, full: FullSegment) -> Result<(), SealFault> {
        let index = Arc::clone(&self.replay.index);
        let sealed = seal_segment(self.target(&Pace::at_once()), index.hasher, full, &self.sealed)?;
        let mut runs = RunSet::clone(&index.runs());
        let segments = (full.segment, full.segment);
        runs.runs.push(Arc::new(self.open_run(&runs, segments)?));
        index.publish(runs);
        self.sealed = sealed;
        self.opened.pop_front();
        self.covered = full.segment;
        self.merges = self.merges && self.merge().is_ok();
        Ok(())
    }

    /// Merges runs while there are enough of one size: each is an open file.
    fn merge(&self) -> io::Result<()> {
        let (index, pace) = (&self.replay.index, Pace::at_once());
        let mut runs = RunSet::clone(&index.runs());
        while let Some(alike) = runs.to_merge().map(<[_]>::to_vec) {
            assert!(merge_runs(self.target(&pace), &alike, || true)?, "nothing stopped it");
            let segments = (alike[0].first, alike[alike.len() - 1].last);
            runs = runs.replaced(Arc::new(self.open_run(&runs, segments)?));
            index.publish(runs.clone());
            for run in alike {
                let _ = self.disk.remove(&run_path(self.directory, run.first, run.last));
            }
        }
        Ok(())
    }

    fn open_run(&self, runs: &RunSet, segments: (u32, u32)) -> io::Result<Run> {
        let room = runs.room(self.recovery.index_bytes, segments);
        Run::open(self.disk, self.directory, segments, room)
    }

    fn target<'t>(&'t self, pace: &'t Pace) -> Target<'t> {
        Target {
            disk: self.disk,
            directory: self.directory,
            incarnation: self.incarnation,
            salt: self.salt,
            filter_bytes: self.recovery.index_bytes / 4,
            pace,
        }
    }
}
