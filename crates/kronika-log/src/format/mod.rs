//! The format, drawn in `docs/formats/log.md`: bytes to values and back, without any I/O.
//!
//! All numbers are little-endian. What is not known and not marked as skippable is refused, by its number.

mod blocks;
mod commit;
mod control;
mod decode;
mod encode;
mod fields;
mod footer;
mod head;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use blocks::{DerivedWriter, Identity, Section, decode_header, encode_header, wrong};
pub(crate) use commit::{
    COMMIT_HEADER_BYTES, CommitHeader, CommitKind, HeaderFault, is_padding, seal_body, zero_sectors,
};
pub(crate) use control::{Claim, decode_control, encode_claim};
pub(crate) use decode::{RecordHead, decode_append, decode_append_of, keyed_by, record_is_whole};
pub(crate) use encode::{bytes_estimate, encode_append};
pub(crate) use fields::Fields;
pub(crate) use footer::{
    AppendSummary, EPOCH_BYTES, FOOTER_HEADER_BYTES, FOOTER_MAGIC, FooterHeader, POSITION_BYTES,
    SLICE_SET_BYTES, TAG_BYTES, TYPE_BYTES,
};
pub(crate) use head::{HEAD_BYTES, PublishedHead};
pub(crate) use segment::{SEGMENT_HEADER_BYTES, SegmentFault, SegmentHeader};

/// The newest format that this release reads and the one it writes.
pub(crate) const FORMAT: u32 = 1;
/// The format of footers and runs. They are derived: of another format they are made anew.
pub(crate) const DERIVED_FORMAT: u32 = 1;
/// Bytes of a sector: what a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;
/// Commits begin and end at multiples of this.
pub(crate) const UNIT_BYTES: usize = 64;
/// Offset of the first commit in a segment: the header has a block of its own, which is never written again.
pub(crate) const FIRST_COMMIT: u64 = 4096;
/// Bytes of a commit with its header, at most.
pub(crate) const COMMIT_BYTES_MAX: usize = 16 << 20;
/// Fields of lower numbers must be understood; those from here on may be skipped.
pub(crate) const SKIPPABLE: u16 = 0x8000;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They are wrong.
    Wrong(&'static str),
    /// They say something that this release does not know.
    Unknown(String),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(what) => f.write_str(what),
            Self::Unknown(what) => write!(f, "{what} is not known to this release"),
        }
    }
}

/// What binds checks to one segment: made from its salt, its id and the incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) segment: u32,
    seed: u32,
}

impl Seal {
    pub(crate) fn new(salt: u64, segment: u32, incarnation: u128) -> Self {
        let mut bytes = [0; 28];
        bytes[..8].copy_from_slice(&salt.to_le_bytes());
        bytes[8..12].copy_from_slice(&segment.to_le_bytes());
        bytes[12..].copy_from_slice(&incarnation.to_le_bytes());
        Self { segment, seed: crc32c::crc32c(&bytes) }
    }

    /// The check of bytes in this segment.
    pub(crate) fn check(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed, bytes)
    }

    /// The check of bytes that belong at an offset of this segment.
    pub(crate) fn check_at(self, offset: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.check(&offset.to_le_bytes()), bytes)
    }
}

/// Bytes taken from the front, with every length checked before it is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker<'a>(pub(crate) &'a [u8]);

impl<'a> Taker<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Malformed::Wrong("a length goes beyond its record"))?;
        self.0 = rest;
        Ok(taken)
    }
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.bytes(N)?.try_into().expect("as many bytes as were asked for"))
    }
    pub(crate) fn text(&mut self, count: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(count)?).map_err(|_| Malformed::Wrong("a text is not UTF-8"))
    }
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    pub(crate) fn u128(&mut self) -> Result<u128, Malformed> {
        Ok(u128::from_le_bytes(self.array()?))
    }
}
