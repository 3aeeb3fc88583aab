//! What a run holds, as sums that do not depend on the order: to be compared with its segments without sorting.

use super::{
    entry::{KeyEntry, StreamEntry, hash_at},
    run::{FENCE_BYTES, Run},
};
use crate::format::{Section, wrong};
use std::io;
use xxhash_rust::xxh3::xxh3_128;

/// Blocks that are read at once.
const BLOCKS_AHEAD: u64 = 64;

/// How much there is, and the sum of the hashes of all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunSums {
    entries: u64,
    keys: u64,
    sum: u128,
}

impl RunSums {
    /// With one more entry, as it is encoded.
    pub(crate) fn entry(&mut self, bytes: &[u8; StreamEntry::BYTES]) {
        self.entries += 1;
        self.sum = self.sum.wrapping_add(xxh3_128(bytes));
    }

    /// With one more key, as it is encoded.
    pub(crate) fn key(&mut self, bytes: &[u8; KeyEntry::BYTES]) {
        self.keys += 1;
        self.sum = self.sum.wrapping_add(xxh3_128(bytes));
    }

    /// Of both.
    pub(crate) fn plus(self, other: &Self) -> Self {
        let sum = self.sum.wrapping_add(other.sum);
        Self { entries: self.entries + other.entries, keys: self.keys + other.keys, sum }
    }
}

impl Run {
    /// Reads all of it: every block, their order, and that the filter knows every hash.
    pub(crate) fn sums(&self) -> io::Result<RunSums> {
        let mut sums = RunSums::default();
        self.each(self.layout.entries, |record| {
            sums.entry(record.try_into().expect("a record has its size"));
        })?;
        self.each(self.layout.keys, |record| {
            sums.key(record.try_into().expect("a record has its size"));
        })?;
        self.check_fences()?;
        Ok(sums)
    }

    /// Each fence is that of its block.
    fn check_fences(&self) -> io::Result<()> {
        let (fences, entries) = (self.layout.fences, self.layout.entries);
        if fences.records != entries.blocks() {
            return Err(wrong("it has not one fence for each block"));
        }
        let found = self.some(fences, 0, fences.blocks())?;
        for (block, fence) in (0..).zip(found.chunks_exact(FENCE_BYTES)) {
            let first = hash_at(&self.some(entries, block, 1)?);
            if ((first >> 64) as u64).to_le_bytes() != fence {
                return Err(wrong("a fence is not that of its block"));
            }
        }
        Ok(())
    }

    fn each(&self, section: Section, mut record: impl FnMut(&[u8])) -> io::Result<()> {
        let size = section.record_bytes as usize;
        let place_at = |record: &[u8]| {
            u64::from_le_bytes(record[16..24].try_into().expect("a place has eight bytes"))
        };
        let mut last = None;
        for first in (0..section.blocks()).step_by(BLOCKS_AHEAD as usize) {
            let records = self.some(section, first, BLOCKS_AHEAD)?;
            for one in records.chunks_exact(size) {
                let order = Some((hash_at(one), place_at(one)));
                if order <= last {
                    return Err(wrong("its records are not in order"));
                }
                if !self.may_hold(hash_at(one)) {
                    return Err(wrong("its filter does not know what it holds"));
                }
                last = order;
                record(one);
            }
        }
        Ok(())
    }
}
