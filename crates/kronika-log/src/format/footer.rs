//! The footer of a sealed segment: what is known of it without reading it. Derived, in a file of its own.

use super::{Identity, Section, decode_header, encode_header};
use kronika_core::{Mark, PartitionId, Position, Timestamp};

/// Bytes of a footer's header.
pub(crate) const FOOTER_HEADER_BYTES: usize = 1024;
pub(crate) const FOOTER_MAGIC: [u8; 8] = *b"kronifot";
/// Bytes of the set of slices.
pub(crate) const SLICE_SET_BYTES: usize = 128;
/// Bytes of a record of [`FooterHeader::commits_by_position`]: first position (8), offset (4).
pub(crate) const POSITION_BYTES: u32 = 12;
/// Bytes of a record of [`FooterHeader::epochs`]: first slice (2), last slice (2), epoch (8).
pub(crate) const EPOCH_BYTES: u32 = 12;
/// Bytes of a record of [`FooterHeader::types`]: length (1), name.
pub(crate) const TYPE_BYTES: u32 = 1 + kronika_core::TYPE_BYTES_MAX as u32;
/// Bytes of a record of [`FooterHeader::tags`]: hash (8), ordinal of the append (4).
pub(crate) const TAG_BYTES: u32 = 12;

/// The header of a footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FooterHeader {
    /// The check of the segment's own header.
    pub(crate) segment_check: u32,
    /// End of its last commit.
    pub(crate) end: u64,
    /// Where the log stood before its first commit: the number and the check of the header.
    pub(crate) before: (u64, u32),
    /// The same after its last one.
    pub(crate) after: (u64, u32),
    /// Position of the last event before it.
    pub(crate) first: Position,
    /// The last event in it, or before it.
    pub(crate) mark: Mark,
    pub(crate) times: (Timestamp, Timestamp),
    pub(crate) appends: u64,
    pub(crate) streams: u64,
    /// SHA-256 of the hash before it and of all bytes from the first commit to the end of the last.
    pub(crate) hash_before: [u8; 32],
    pub(crate) hash: [u8; 32],
    pub(crate) slices: [u8; SLICE_SET_BYTES],
    pub(crate) commits_by_position: Section,
    pub(crate) appends_in_order: Section,
    pub(crate) tags: Section,
    pub(crate) types: Section,
    pub(crate) epochs: Section,
}

/// One append in the order of the log: what a filter asks for without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppendSummary {
    /// Offset of its record.
    pub(crate) offset: u32,
    pub(crate) slice: u16,
    /// Number of the aggregate type in the footer.
    pub(crate) kind: u16,
    /// Position of its first event, less that of the last event before the segment.
    pub(crate) position: u32,
    pub(crate) events: u16,
    /// Whether an event in it has a tag.
    pub(crate) tagged: bool,
}

impl AppendSummary {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.slice.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.kind.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.position.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.events.to_le_bytes());
        bytes[14] = u8::from(self.tagged);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        Self {
            offset: u32_at(0),
            slice: u16_at(4),
            kind: u16_at(6),
            position: u32_at(8),
            events: u16_at(12),
            tagged: bytes[14] != 0,
        }
    }
}

impl FooterHeader {
    /// The header's bytes.
    pub(crate) fn encode(&self, identity: &Identity) -> Vec<u8> {
        let mut out = self.segment_check.to_le_bytes().to_vec();
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(&self.end.to_le_bytes());
        for (number, check) in [self.before, self.after] {
            put(&number.to_le_bytes());
            put(&check.to_le_bytes());
        }
        put(&self.first.get().to_le_bytes());
        put(&self.mark.position.get().to_le_bytes());
        put(&self.mark.check.to_le_bytes());
        put(&self.times.0.get().to_le_bytes());
        put(&self.times.1.get().to_le_bytes());
        put(&self.appends.to_le_bytes());
        put(&self.streams.to_le_bytes());
        put(&self.hash_before);
        put(&self.hash);
        put(&self.slices);
        for section in
            [self.commits_by_position, self.appends_in_order, self.tags, self.types, self.epochs]
        {
            put(&section.encode());
        }
        encode_header(identity, &out, FOOTER_HEADER_BYTES)
    }

    /// Of the footer of a segment; `None` if it is not whole or of something else.
    pub(crate) fn decode(header: &[u8; FOOTER_HEADER_BYTES]) -> Option<(Identity, Self)> {
        let (identity, contents) = decode_header(header, FOOTER_MAGIC)?;
        let mut rest = contents;
        let mut take = |count: usize| {
            let (taken, behind) = rest.split_at(count);
            rest = behind;
            taken
        };
        let u32_of = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four"));
        let u64_of = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight"));
        let segment_check = u32_of(take(4));
        let end = u64_of(take(8));
        let before = (u64_of(take(8)), u32_of(take(4)));
        let after = (u64_of(take(8)), u32_of(take(4)));
        let first = Position::new(u64_of(take(8)));
        let position = Position::new(u64_of(take(8)));
        let mark = Mark { partition: PartitionId::default(), position, check: u32_of(take(4)) };
        let times = [(); 2].map(|()| Timestamp::new(u64_of(take(8)) as i64));
        let (appends, streams) = (u64_of(take(8)), u64_of(take(8)));
        let hash_before = take(32).try_into().expect("thirty-two");
        let hash = take(32).try_into().expect("thirty-two");
        let slices = take(SLICE_SET_BYTES).try_into().expect("as many as were taken");
        let mut section = |record_bytes: u32| {
            let bytes = take(Section::BYTES).try_into().expect("as many as were taken");
            Section::decode(bytes, record_bytes)
        };
        let header = Self {
            segment_check,
            end,
            before,
            after,
            first,
            mark,
            times: (times[0], times[1]),
            appends,
            streams,
            hash_before,
            hash,
            slices,
            commits_by_position: section(POSITION_BYTES)?,
            appends_in_order: section(AppendSummary::BYTES as u32)?,
            tags: section(TAG_BYTES)?,
            types: section(TYPE_BYTES)?,
            epochs: section(EPOCH_BYTES)?,
        };
        Some((identity, header))
    }

    /// Whether a stream of a range of slices may be in the segment.
    pub(crate) fn has_slices(&self, slices: kronika_core::SliceRange) -> bool {
        (slices.first()..=slices.last())
            .any(|slice| self.slices[usize::from(slice) / 8] >> (slice % 8) & 1 != 0)
    }
}
