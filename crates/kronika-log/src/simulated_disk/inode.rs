//! A file of the simulated disk: what readers see, what a loss of power leaves, and what may come out in between.
//!
//! Both contents are shared with copies of the disk until one of them writes, so that a copy costs nothing.

use super::{Corruption, SECTOR_BYTES};
use std::sync::Arc;

type Sector = [u8; SECTOR_BYTES];

/// Contents that dirty sectors had in between, at most.
const BETWEEN_MAX: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    cached: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// What each durable sector was before it was last changed.
    before: Arc<Vec<u8>>,
    dirty: Sectors,
    /// Contents that dirty sectors had, any of which may have reached the disk.
    between: Vec<(usize, Sector)>,
    /// It was emptied, and that is not durable.
    emptied: bool,
}

/// Which dirty sectors reach the disk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    None,
    All,
    /// Each one with this chance.
    Each(f64),
    /// Up to this share of them.
    First(f64),
    /// From this share of them on.
    Last(f64),
    /// One, at this share of them.
    Only(f64),
    /// All others than that.
    AllBut(f64),
}

impl Kept {
    pub(super) fn any(random: &mut fastrand::Rng) -> Self {
        let share = random.f64();
        match random.u8(..12) {
            0..2 => Self::None,
            2..4 => Self::All,
            4 => Self::Each(0.1),
            5..7 => Self::Each(0.5),
            7 => Self::Each(0.9),
            8 => Self::First(share),
            9 => Self::Last(share),
            10 => Self::Only(share),
            _ => Self::AllBut(share),
        }
    }

    pub(super) fn keeps(self, index: usize, count: usize, random: &mut fastrand::Rng) -> bool {
        let at = |share: f64| (share * count as f64) as usize;
        match self {
            Self::None => false,
            Self::All => true,
            Self::Each(chance) => random.f64() < chance,
            Self::First(share) => index < at(share),
            Self::Last(share) => index >= at(share),
            Self::Only(share) => index == at(share),
            Self::AllBut(share) => index != at(share),
        }
    }
}

impl Inode {
    /// Bytes that are durable.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let bytes = Arc::new(bytes.to_vec());
        let (cached, durable, before) = (Arc::clone(&bytes), Arc::clone(&bytes), bytes);
        Self { cached, durable, before, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn write(&mut self, bytes: &[u8], start: usize, random: &mut fastrand::Rng) {
        if bytes.is_empty() {
            return;
        }
        let end = start + bytes.len();
        for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            if self.dirty.has(sector) && random.bool() {
                let kept = (sector, sector_of(&self.cached, sector));
                if self.between.len() < BETWEEN_MAX {
                    self.between.push(kept);
                } else {
                    let replaced = random.usize(..BETWEEN_MAX);
                    self.between[replaced] = kept;
                }
            }
            self.dirty.put(sector);
        }
        let cached = Arc::make_mut(&mut self.cached);
        if cached.len() < end {
            cached.resize(end, 0);
        }
        cached[start..end].copy_from_slice(bytes);
    }

    pub(super) fn empty(&mut self) {
        *self = Self {
            durable: Arc::clone(&self.durable),
            before: Arc::clone(&self.before),
            emptied: true,
            ..Self::default()
        };
    }

    /// Everything reaches the disk that is not called clean already.
    pub(super) fn sync(&mut self) {
        if std::mem::take(&mut self.emptied) {
            (self.durable, self.before) = (Arc::default(), Arc::default());
        }
        self.between.clear();
        if self.durable.is_empty() && self.dirty.count() == self.cached.len().div_ceil(SECTOR_BYTES)
        {
            self.durable = Arc::clone(&self.cached);
            self.before = Arc::clone(&self.cached);
            self.dirty = Sectors::default();
        }
        for sector in self.dirty.take() {
            let bytes = sector_of(&self.cached, sector);
            self.reach(sector, &bytes, self.cached.len());
        }
    }

    /// The sync fails: some of it reached the disk, and what of the rest is still called dirty, or still there to be
    /// read, depends on the file system.
    pub(super) fn sync_failing(&mut self, random: &mut fastrand::Rng) {
        let (emptied, dirty) = (self.emptied, self.dirty.clone());
        self.keep(Kept::any(random), false, random);
        match random.u8(..8) {
            // Still dirty: a second sync would help.
            0 => (self.dirty, self.emptied) = (dirty, emptied),
            // The pages are thrown away.
            1 => self.cached = Arc::clone(&self.durable),
            // Called clean, whatever reached the disk.
            _ => {}
        }
    }

    /// Clean pages are dropped from the cache and read from the disk again: what was called clean and is not
    /// durable is gone.
    pub(super) fn evict(&mut self) {
        if self.emptied || Arc::ptr_eq(&self.cached, &self.durable) || self.cached == self.durable {
            return;
        }
        let mut cached = self.durable.to_vec();
        cached.resize(self.cached.len(), 0);
        for sector in self.dirty.clone().take() {
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(cached.len());
            cached[start..end].copy_from_slice(&self.cached[start..end]);
        }
        self.cached = Arc::new(cached);
    }

    /// The power fails.
    pub(super) fn lose(&mut self, kept: Kept, garbage: bool, random: &mut fastrand::Rng) {
        self.keep(kept, garbage, random);
        self.cached = Arc::clone(&self.durable);
    }

    /// Some dirty sectors reach the disk; all are clean then.
    fn keep(&mut self, kept: Kept, garbage: bool, random: &mut fastrand::Rng) {
        let dirty = self.dirty.take();
        if dirty.is_empty() && !self.emptied {
            return;
        }
        if matches!(kept, Kept::None) {
            (self.emptied, self.between) = (false, Vec::new());
            return;
        }
        if std::mem::take(&mut self.emptied) && random.bool() {
            (self.durable, self.before) = (Arc::default(), Arc::default());
        }
        let (length, count) = (self.cached.len(), dirty.len());
        if length > self.durable.len() && random.bool() {
            // The new length is durable before the contents are, and shows what stood there before.
            let durable = Arc::make_mut(&mut self.durable);
            let filler = if garbage { random.u8(..) } else { 0 };
            durable.resize(length, filler);
        }
        for (index, sector) in dirty.into_iter().enumerate() {
            if !kept.keeps(index, count, random) {
                continue;
            }
            let mut bytes = sector_of(&self.cached, sector);
            let earlier = self.between.iter().filter(|(number, _)| *number == sector);
            let earlier = earlier.collect::<Vec<_>>();
            if let Some((_, earlier)) = earlier.get(random.usize(..=earlier.len())) {
                bytes = *earlier;
            }
            self.reach(sector, &bytes, length);
        }
        self.between.clear();
    }

    /// A sector reaches the disk, as far as it is in a file of `length` bytes.
    fn reach(&mut self, sector: usize, bytes: &Sector, length: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(length);
        if start >= end {
            return;
        }
        if self.durable.get(start..end) == Some(&bytes[..end - start]) {
            return;
        }
        let before = sector_of(&self.durable, sector);
        put(&mut self.before, start, &before[..end - start]);
        put(&mut self.durable, start, &bytes[..end - start]);
    }

    /// Damages what is durable, and what is read. Gives whether anything is another than it was.
    pub(super) fn corrupt(&mut self, corruption: Corruption) -> bool {
        let sound = Arc::clone(&self.durable);
        match corruption {
            Corruption::BitFlip { offset, bit } => {
                if let Some(byte) = Arc::make_mut(&mut self.durable).get_mut(offset as usize) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Corruption::Zeroed { sector } => self.overwrite(sector, &[0; SECTOR_BYTES]),
            Corruption::Stale { sector } => self.restore(sector),
            Corruption::Misdirected { from, to } => {
                let bytes = sector_of(&self.durable, from as usize);
                self.overwrite(to, &bytes);
                if from != to {
                    self.restore(from);
                }
            }
        }
        self.cached = Arc::clone(&self.durable);
        *sound != *self.durable
    }

    fn restore(&mut self, sector: u64) {
        let before = sector_of(&self.before, sector as usize);
        self.overwrite(sector, &before);
    }

    /// Replaces a sector, as far as the file has it.
    fn overwrite(&mut self, sector: u64, bytes: &Sector) {
        let (start, length) = (sector as usize * SECTOR_BYTES, self.durable.len());
        let end = (start + SECTOR_BYTES).min(length);
        if start < end {
            Arc::make_mut(&mut self.durable)[start..end].copy_from_slice(&bytes[..end - start]);
        }
    }
}

/// A sector's bytes, and zeros behind the end of the file.
fn sector_of(bytes: &[u8], sector: usize) -> Sector {
    let mut found = [0; SECTOR_BYTES];
    let there = bytes.get(sector * SECTOR_BYTES..).unwrap_or_default();
    let length = there.len().min(SECTOR_BYTES);
    found[..length].copy_from_slice(&there[..length]);
    found
}

fn put(file: &mut Arc<Vec<u8>>, start: usize, bytes: &[u8]) {
    let (file, end) = (Arc::make_mut(file), start + bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}

/// A set of sectors, one bit for each.
#[derive(Debug, Clone, Default)]
struct Sectors(Vec<u64>);

impl Sectors {
    fn has(&self, sector: usize) -> bool {
        self.0.get(sector / 64).is_some_and(|bits| bits & (1 << (sector % 64)) != 0)
    }

    fn put(&mut self, sector: usize) {
        if self.0.len() <= sector / 64 {
            self.0.resize(sector / 64 + 1, 0);
        }
        self.0[sector / 64] |= 1 << (sector % 64);
    }

    fn count(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// All of them in order; none is left.
    fn take(&mut self) -> Vec<usize> {
        let mut sectors = Vec::with_capacity(self.count());
        for (word, bits) in self.0.drain(..).enumerate() {
            let mut bits = bits;
            while bits != 0 {
                sectors.push(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
        sectors
    }
}
