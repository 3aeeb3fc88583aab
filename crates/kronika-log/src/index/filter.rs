//! A blocked Bloom filter: whether a run may hold a hash, told from one cache line.
//!
//! After Putze, Sanders and Singler, "Cache-, hash- and space-efficient Bloom filters" (2007).

use std::io;

/// Bytes of a block: a cache line.
pub(crate) const BLOCK_BYTES: usize = 64;
/// Bits for each hash: about one in a hundred that are not there seems to be.
const BITS_EACH: u64 = 10;
/// Bits set for each hash.
const PROBES: u32 = 6;

/// Which hashes may be in a run.
#[derive(Debug)]
pub(crate) struct Filter(Vec<[u64; 8]>);

impl Filter {
    /// Blocks for so many hashes, at most so many bytes.
    pub(crate) fn blocks(hashes: u64, bytes_max: u64) -> u64 {
        let wanted = (hashes * BITS_EACH).div_ceil(BLOCK_BYTES as u64 * 8);
        wanted.clamp(1, (bytes_max / BLOCK_BYTES as u64).max(1))
    }

    /// An empty one.
    pub(crate) fn new(blocks: u64) -> Self {
        Self(vec![[0; 8]; blocks as usize])
    }

    fn block(&self, hash: u128) -> usize {
        let upper = (hash >> 64) as u64;
        ((u128::from(upper) * self.0.len() as u128) >> 64) as usize
    }

    /// Six numbers of 9 bits out of the lower half.
    fn bits(hash: u128) -> impl Iterator<Item = (usize, u64)> {
        let lower = hash as u64;
        (0..PROBES).map(move |probe| {
            let bit = lower >> (probe * 9) & 0x1ff;
            ((bit >> 6) as usize, 1 << (bit & 63))
        })
    }

    pub(crate) fn insert(&mut self, hash: u128) {
        let block = self.block(hash);
        for (word, bit) in Self::bits(hash) {
            self.0[block][word] |= bit;
        }
    }

    pub(crate) fn may_hold(&self, hash: u128) -> bool {
        let block = &self.0[self.block(hash)];
        Self::bits(hash).all(|(word, bit)| block[word] & bit != 0)
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.len() as u64 * BLOCK_BYTES as u64
    }

    /// Its blocks, to be written.
    pub(crate) fn records(&self) -> impl Iterator<Item = [u8; BLOCK_BYTES]> + '_ {
        self.0.iter().map(|block| {
            let mut bytes = [0; BLOCK_BYTES];
            for (word, bytes) in block.iter().zip(bytes.chunks_exact_mut(8)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        })
    }

    /// From blocks as they were written.
    pub(crate) fn decode(records: &[u8]) -> io::Result<Self> {
        if records.is_empty() {
            return Err(crate::format::wrong("a filter has no blocks"));
        }
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight"));
        let blocks = records.chunks_exact(BLOCK_BYTES).map(|block| {
            let mut words = [0; 8];
            for (to, bytes) in words.iter_mut().zip(block.chunks_exact(8)) {
                *to = word(bytes);
            }
            words
        });
        Ok(Self(blocks.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        let mut random = fastrand::Rng::with_seed(1);
        let hashes = (0..20_000).map(|_| random.u128(..)).collect::<Vec<_>>();
        let mut filter = Filter::new(Filter::blocks(hashes.len() as u64, u64::MAX));
        hashes.iter().for_each(|hash| filter.insert(*hash));
        let records = filter.records().flatten().collect::<Vec<_>>();
        let filter = Filter::decode(&records).unwrap();
        assert!(hashes.iter().all(|hash| filter.may_hold(*hash)));
        let wrong = (0..100_000).filter(|_| filter.may_hold(random.u128(..))).count();
        assert!(wrong < 3_000, "{wrong} of 100,000");
    }
}
