//! One append of a stream, in memory and in a run.

use crate::place::Place;
use kronika_core::{AppendId, Version};

/// A stream's version is kept in 40 bits.
pub(crate) const VERSION_MAX: u64 = (1 << 40) - 1;

/// One append of a stream: its place, the stream's version after it, and 24 bits of its id's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendEntry {
    pub(crate) place: Place,
    end_and_id: u64,
}

impl AppendEntry {
    pub(crate) fn new(place: Place, end: Version, id: AppendId) -> Self {
        Self { place, end_and_id: end.get() << 24 | id_bits(id) }
    }
    /// The stream's version after it.
    pub(crate) fn end(self) -> u64 {
        self.end_and_id >> 24
    }
    /// Whether it may be the append of that id.
    pub(crate) fn may_be(self, id: AppendId) -> bool {
        self.end_and_id & 0xff_ffff == id_bits(id)
    }
}

/// The id folded to 64 bits, times 0x9e3779b97f4a7c15, the upper 24 bits. Frozen in runs.
fn id_bits(id: AppendId) -> u64 {
    let folded = (id.get() as u64) ^ (id.get() >> 64) as u64;
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// An append of a stream as a run holds it, ordered by the stream's hash and then by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamEntry {
    pub(crate) hash: u128,
    pub(crate) entry: AppendEntry,
}

impl StreamEntry {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn order(&self) -> (u128, Place) {
        (self.hash, self.entry.place)
    }

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.hash.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.entry.place.get().to_le_bytes());
        bytes[24..].copy_from_slice(&self.entry.end_and_id.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let place = u64::from_le_bytes(bytes[16..24].try_into().expect("eight"));
        let end_and_id = u64::from_le_bytes(bytes[24..32].try_into().expect("eight"));
        let entry = AppendEntry { place: Place::from_bits(place), end_and_id };
        Self { hash: hash_at(bytes), entry }
    }
}

/// The place of an append by its idempotency key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyEntry {
    pub(crate) hash: u128,
    pub(crate) place: Place,
}

impl KeyEntry {
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.hash.to_le_bytes());
        bytes[16..].copy_from_slice(&self.place.get().to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let place = u64::from_le_bytes(bytes[16..24].try_into().expect("eight"));
        Self { hash: hash_at(bytes), place: Place::from_bits(place) }
    }
}

/// The hash that a record of a run begins with.
pub(crate) fn hash_at(bytes: &[u8]) -> u128 {
    u128::from_le_bytes(bytes[..16].try_into().expect("sixteen"))
}

/// Hashes of streams and keys, seeded by the journal, so that nobody outside can aim at them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    seed: u64,
}

impl Hasher {
    /// By the salt of the journal's first segment.
    pub(crate) fn new(salt: u64) -> Self {
        Self { seed: salt }
    }

    /// The salt that it was made from.
    pub(crate) fn salt(self) -> u64 {
        self.seed
    }

    /// xxh3-128 of the stream's name.
    pub(crate) fn stream(self, name: &str) -> u128 {
        xxhash_rust::xxh3::xxh3_128_with_seed(name.as_bytes(), self.seed)
    }

    /// xxh3-128 of an idempotency key in its scope, with the lengths of the parts before the key.
    pub(crate) fn key(self, stream: &str, principal: Option<&str>, key: &str) -> u128 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(self.seed);
        hasher.update(&(stream.len() as u32).to_le_bytes());
        hasher.update(stream.as_bytes());
        let principal_bytes = principal.map_or(u32::MAX, |text| text.len() as u32);
        hasher.update(&principal_bytes.to_le_bytes());
        hasher.update(principal.unwrap_or_default().as_bytes());
        hasher.update(key.as_bytes());
        hasher.digest128()
    }
}
