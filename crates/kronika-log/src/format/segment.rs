//! The header of a segment: its first sector, written once when the segment is made ready.

use super::{FIRST_COMMIT, FORMAT, SECTOR_BYTES, Seal};
use kronika_core::Incarnation;

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = SECTOR_BYTES;
const MAGIC: &[u8; 8] = b"kronilog";

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) incarnation: Incarnation,
    pub(crate) segment: u32,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Random: what was written into another segment passes no check here.
    pub(crate) salt: u64,
}

/// Why a sector is no header of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SegmentFault {
    /// Its check does not fit, or what it says cannot be.
    Wrong(&'static str),
    /// A reader must know this format.
    Newer(u32),
    /// It needs something that this release does not know.
    Unknown(String),
}

impl SegmentHeader {
    pub(crate) fn seal(&self) -> Seal {
        Seal::new(self.salt, self.segment, self.incarnation.get())
    }

    /// The check that its bytes end with.
    pub(crate) fn check(&self) -> u32 {
        u32::from_le_bytes(*self.encode().last_chunk().expect("a header has four bytes"))
    }

    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.incarnation.get().to_le_bytes());
        bytes[32..36].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.salt.to_le_bytes());
        let check = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, SegmentFault> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        if &bytes[..8] != MAGIC {
            return Err(SegmentFault::Wrong("the segment does not begin as one"));
        }
        if u32_at(508) != crc32c::crc32c(&bytes[..508]) {
            return Err(SegmentFault::Wrong("the check of the segment's header does not fit"));
        }
        let (format, reader) = (u32_at(8), u32_at(12));
        if reader > FORMAT {
            return Err(SegmentFault::Newer(reader));
        }
        if format == 0 || reader == 0 {
            return Err(SegmentFault::Wrong("the segment's format is 0"));
        }
        if u32_at(36) != 0 {
            return Err(SegmentFault::Unknown(format!("segment feature {:#x}", u32_at(36))));
        }
        if u16::from_le_bytes([bytes[56], bytes[57]]) != 0 {
            return Err(SegmentFault::Unknown("a partition other than 0".to_owned()));
        }
        let incarnation = u128::from_le_bytes(bytes[16..32].try_into().expect("sixteen"));
        let header = Self {
            incarnation: Incarnation::new(incarnation),
            segment: u32_at(32),
            bytes: u64_at(40),
            salt: u64_at(48),
        };
        let possible = FIRST_COMMIT + 1..=1 << 31;
        if !possible.contains(&header.bytes) || !header.bytes.is_multiple_of(FIRST_COMMIT) {
            return Err(SegmentFault::Wrong("the segment's length is not possible"));
        }
        Ok(header)
    }
}
