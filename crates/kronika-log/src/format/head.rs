//! The published head: up to where the log is durable, for followers in other processes and for recovery.
//!
//! It is written after every sync and never synced itself, so it may be older than the truth, never newer.

use super::UNIT_BYTES;
use crate::place::Place;

/// Bytes of the published head.
pub(crate) const HEAD_BYTES: usize = UNIT_BYTES;
const MAGIC: &[u8; 8] = b"kronihed";

/// Up to where the log is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishedHead {
    pub(crate) incarnation: u128,
    /// End of the last durable commit.
    pub(crate) end: Place,
    /// Number of that commit.
    pub(crate) number: u64,
    /// Position of the last durable event.
    pub(crate) position: u64,
    /// Check of that commit's header.
    pub(crate) previous: u32,
}

impl PublishedHead {
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.end.segment().to_le_bytes());
        bytes[28..32].copy_from_slice(&self.previous.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.end.offset().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.number.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.position.to_le_bytes());
        let check = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// `None` if it is not whole: it is derived, and only makes recovery stricter.
    pub(crate) fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        let whole = &bytes[..8] == MAGIC
            && u32_at(60) == crc32c::crc32c(&bytes[..60])
            && u64_at(32) <= u64::from(u32::MAX);
        whole.then(|| Self {
            incarnation: u128::from_le_bytes(bytes[8..24].try_into().expect("sixteen")),
            end: Place::new(u32_at(24), u64_at(32)),
            previous: u32_at(28),
            number: u64_at(40),
            position: u64_at(48),
        })
    }
}
