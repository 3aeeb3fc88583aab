//! A run: the appends of some neighbouring segments by stream, and their keys, sorted, in a file that is never
//! changed. Looking something up reads a few checked blocks and holds nothing of them.

use super::{
    entry::{AppendEntry, KeyEntry, StreamEntry, hash_at},
    filter::{BLOCK_BYTES, Filter},
};
use crate::{
    disk::{Disk, DiskFile, OpenMode, read_full},
    format::{Identity, Section, decode_header, encode_header, wrong},
    place::Place,
    segments::run_path,
};
use std::{
    io,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) const MAGIC: [u8; 8] = *b"kronirun";
/// Bytes of a fence: the upper half of a hash.
pub(super) const FENCE_BYTES: usize = 8;
/// Bytes of a run's header.
pub(super) const HEADER_BYTES: usize = 512;

/// A run, open for reading.
#[derive(Debug)]
pub(crate) struct Run {
    file: Arc<dyn DiskFile>,
    seed: u32,
    /// Its first and last segment.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) layout: Layout,
    /// Which hashes may be in it; none where there was no memory for it.
    filter: Option<Filter>,
    /// The upper half of the first hash of each block of entries, where there was memory for them.
    fences: Vec<u64>,
    /// A block was found that is not what was written.
    doubted: AtomicBool,
}

/// What stands where in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) streams: u64,
    /// The check of the header of the last commit that it covers.
    pub(crate) end_check: u32,
    pub(crate) entries: Section,
    pub(crate) keys: Section,
    pub(crate) fences: Section,
    pub(crate) filter: Section,
}

impl Layout {
    fn contents(&self) -> Vec<u8> {
        let mut bytes = self.streams.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.end_check.to_le_bytes());
        for section in [self.entries, self.keys, self.fences, self.filter] {
            bytes.extend_from_slice(&section.encode());
        }
        bytes
    }

    fn of(contents: &[u8]) -> Option<Self> {
        let (streams, rest) = contents.split_first_chunk::<8>()?;
        let (end_check, mut rest) = rest.split_first_chunk::<4>()?;
        let mut section = |record_bytes: usize| {
            let (bytes, behind) = rest.split_first_chunk::<{ Section::BYTES }>()?;
            rest = behind;
            Section::decode(bytes, record_bytes as u32)
        };
        Some(Self {
            streams: u64::from_le_bytes(*streams),
            end_check: u32::from_le_bytes(*end_check),
            entries: section(StreamEntry::BYTES)?,
            keys: section(KeyEntry::BYTES)?,
            fences: section(FENCE_BYTES)?,
            filter: section(BLOCK_BYTES)?,
        })
    }

    /// The header of a run.
    pub(super) fn header(&self, identity: &Identity) -> Vec<u8> {
        encode_header(identity, &self.contents(), HEADER_BYTES)
    }
}

impl Run {
    /// Opens a run's file; it holds at most so many bytes in memory, its filter before its fences.
    pub(crate) fn open(
        disk: &dyn Disk,
        directory: &Path,
        segments: (u32, u32),
        memory_bytes: u64,
    ) -> io::Result<Self> {
        let (first, last) = segments;
        let file = disk.open(&run_path(directory, first, last), OpenMode::Read)?;
        let mut header = [0; HEADER_BYTES];
        read_full(&*file, &mut header, 0)?;
        let decoded = decode_header(&header, MAGIC);
        let (identity, contents) =
            decoded.ok_or_else(|| wrong("the header of the run is not what was written"))?;
        let layout = Layout::of(contents).ok_or_else(|| wrong("the run's header cannot be"))?;
        if (identity.first, identity.last) != segments || file.length()? != layout.filter.end() {
            return Err(wrong("the file is another run, or not all of it"));
        }
        let (filter, fences, doubted) = (None, Vec::new(), AtomicBool::new(false));
        let seed = identity.seed();
        let mut run = Self { file, seed, first, last, layout, filter, fences, doubted };
        let filter_bytes = layout.filter.records * BLOCK_BYTES as u64;
        if filter_bytes <= memory_bytes {
            run.filter = Some(Filter::decode(&run.all(layout.filter)?)?);
        }
        let fence_bytes = layout.fences.records * FENCE_BYTES as u64;
        if filter_bytes + fence_bytes <= memory_bytes {
            let fences = run.all(layout.fences)?;
            let fence = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight"));
            run.fences = fences.chunks_exact(FENCE_BYTES).map(fence).collect();
        }
        Ok(run)
    }

    /// Bytes that it holds in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.filter.as_ref().map_or(0, Filter::bytes) + (self.fences.len() * FENCE_BYTES) as u64
    }

    /// How many segments it covers.
    pub(crate) fn segments(&self) -> u32 {
        self.last - self.first + 1
    }

    /// Whether it may hold a hash, without reading.
    pub(crate) fn may_hold(&self, hash: u128) -> bool {
        self.layout.entries.records + self.layout.keys.records > 0
            && self.filter.as_ref().is_none_or(|filter| filter.may_hold(hash))
    }

    fn all(&self, section: Section) -> io::Result<Vec<u8>> {
        self.some(section, 0, section.blocks())
    }

    /// A block of a section, which is read unless it is the one that is cached.
    fn block<'c>(
        &self,
        section: Section,
        block: u64,
        cached: &'c mut CachedBlock,
    ) -> io::Result<&'c [u8]> {
        if cached.as_ref().is_none_or(|(cached, _)| *cached != block) {
            *cached = Some((block, self.some(section, block, 1)?));
        }
        Ok(cached.as_ref().map(|(_, records)| &records[..]).expect("it was read"))
    }

    /// Some blocks of a section.
    pub(super) fn some(&self, section: Section, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let blocks = section.some_blocks(&*self.file, self.seed, first, count);
        let wrong = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
        if blocks.as_ref().is_err_and(wrong) {
            self.doubted.store(true, Ordering::Relaxed);
        }
        blocks
    }

    /// Whether a block of it was found that is not what was written.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Says that a stream will be looked up soon.
    pub(crate) fn will_look_up(&self, hash: u128) {
        if let Some(block) = self.fenced(hash) {
            let (offset, bytes) = self.layout.entries.block_at(block);
            self.file.will_read(offset, bytes);
        }
    }

    /// The block of entries in which a hash begins, if it is there at all and does not begin the next one.
    fn fenced(&self, hash: u128) -> Option<u64> {
        let upper = (hash >> 64) as u64;
        let below = self.fences.partition_point(|fence| *fence < upper);
        (!self.fences.is_empty()).then(|| below.saturating_sub(1) as u64)
    }

    /// The entries of a stream, oldest first. `cached` is the block that was read last.
    pub(crate) fn stream(&self, hash: u128, cached: &mut CachedBlock) -> io::Result<Range<u64>> {
        self.range(self.layout.entries, hash, cached)
    }

    /// One of its entries. `cached` is the block that was read last.
    pub(crate) fn entry(&self, index: u64, cached: &mut CachedBlock) -> io::Result<AppendEntry> {
        let per_block = self.layout.entries.per_block();
        let bytes = self.block(self.layout.entries, index / per_block, cached)?;
        let at = (index % per_block) as usize * StreamEntry::BYTES;
        Ok(StreamEntry::decode(&bytes[at..at + StreamEntry::BYTES]).entry)
    }

    /// The places of appends that may have a key, newest first.
    pub(crate) fn key(&self, hash: u128) -> io::Result<Vec<Place>> {
        let keys = self.layout.keys;
        let mut cached: CachedBlock = None;
        let range = self.range(keys, hash, &mut cached)?;
        let mut places = Vec::new();
        for index in range.rev() {
            let bytes = self.block(keys, index / keys.per_block(), &mut cached)?;
            let at = (index % keys.per_block()) as usize * KeyEntry::BYTES;
            places.push(KeyEntry::decode(&bytes[at..at + KeyEntry::BYTES]).place);
        }
        Ok(places)
    }

    /// The records of a section that begin with a hash.
    fn range(
        &self,
        section: Section,
        hash: u128,
        cached: &mut CachedBlock,
    ) -> io::Result<Range<u64>> {
        let first = self.lower_bound(section, hash, 0, cached)?;
        let end = match hash.checked_add(1) {
            Some(next) if first < section.records => {
                self.lower_bound(section, next, first, cached)?
            }
            _ => section.records,
        };
        Ok(first..end)
    }

    /// The first record at or behind `from` whose hash is not below. Hashes are evenly spread, so that a guess is
    /// seldom far off; after a few it bisects, since one stream with many appends makes them uneven.
    fn lower_bound(
        &self,
        section: Section,
        hash: u128,
        from: u64,
        cached: &mut CachedBlock,
    ) -> io::Result<u64> {
        const GUESSES: u32 = 4;
        let (per_block, size) = (section.per_block(), section.record_bytes as usize);
        // Blocks before `low` end below the hash, those from `high` on begin at or above it.
        let (mut low, mut high) = (from / per_block, section.blocks());
        let (mut low_hash, mut high_hash) = (0, u128::MAX);
        if section == self.layout.entries
            && let Some(block) = self.fenced(hash)
        {
            low = low.max(block);
            let above = self.fences.partition_point(|fence| *fence <= (hash >> 64) as u64);
            high = high.min(above as u64);
        }
        for tried in 0.. {
            if low >= high {
                break;
            }
            let middle = match tried {
                ..GUESSES => low + guess(hash, low_hash, high_hash, high - low),
                _ => low + (high - low) / 2,
            };
            let records = self.block(section, middle, cached)?;
            let (first, last) = (hash_at(records), hash_at(&records[records.len() - size..]));
            if last < hash {
                (low, low_hash) = (middle + 1, last);
            } else if first >= hash {
                (high, high_hash) = (middle, first);
            } else {
                let below = records.chunks_exact(size).filter(|one| hash_at(one) < hash).count();
                return Ok(middle * per_block + below as u64);
            }
        }
        Ok((low * per_block).min(section.records))
    }
}

/// Which of `count` evenly filled blocks a hash is in.
fn guess(hash: u128, low: u128, high: u128, count: u64) -> u64 {
    let (above, width) = ((hash.saturating_sub(low)) >> 64, ((high - low.min(high)) >> 64).max(1));
    u64::try_from(above * u128::from(count) / width).unwrap_or(u64::MAX).min(count - 1)
}

/// A block of a run with its number.
pub(crate) type CachedBlock = Option<(u64, Vec<u8>)>;
