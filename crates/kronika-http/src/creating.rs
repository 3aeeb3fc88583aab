//! The 128 bits that the id of a new aggregate is made from.
//!
//! With an idempotency key they follow from principal and key, so that a command sent again meets the
//! aggregate that it made. Without one they never come twice in a process, and hardly ever anywhere.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};
use xxhash_rust::xxh3::xxh3_128;

/// Makes seeds for ids.
#[derive(Debug)]
pub(crate) struct Seeds {
    /// From the operating system's randomness, by way of the standard hasher.
    process: u128,
    next: AtomicU64,
}

impl Seeds {
    pub fn new() -> Self {
        let half = || u128::from(RandomState::new().hash_one(std::process::id()));
        Self { process: half() << 64 | half(), next: AtomicU64::new(0) }
    }

    /// A seed that was not given before.
    pub fn fresh(&self) -> u128 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut bytes = self.process.to_le_bytes().to_vec();
        bytes.extend_from_slice(&number.to_le_bytes());
        xxh3_128(&bytes)
    }
}

/// The seed of a principal's idempotency key. Frozen: a command may be sent again after an update.
///
/// ```text
/// aggregate type | 0 | 0, or 1 principal | 0 | key
/// ```
pub(crate) fn derived_seed(aggregate_type: &str, principal: Option<&str>, key: &str) -> u128 {
    let mut bytes = Vec::with_capacity(aggregate_type.len() + key.len() + 64);
    bytes.extend_from_slice(aggregate_type.as_bytes());
    bytes.extend_from_slice(&[0, u8::from(principal.is_some())]);
    bytes.extend_from_slice(principal.unwrap_or_default().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes()); // without zeros, so that the parts are told apart from behind
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_seeds_do_not_come_twice() {
        let seeds = Seeds::new();
        assert_ne!(seeds.fresh(), seeds.fresh());
        assert_ne!(Seeds::new().fresh(), Seeds::new().fresh());
    }

    #[test]
    fn derived_seeds_are_frozen_and_tell_their_parts_apart() {
        let nobody = derived_seed("auction", None, "k1");
        assert_eq!(format!("{nobody:x}"), "b4c317213a8413b47af3b7d01341a6da");
        assert_ne!(nobody, derived_seed("auction", Some(""), "k1"));
        assert_ne!(nobody, derived_seed("account", None, "k1"));
        assert_ne!(derived_seed("a", Some("x"), "yz"), derived_seed("a", Some("xy"), "z"));
    }
}
