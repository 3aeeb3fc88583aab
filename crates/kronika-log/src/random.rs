//! Random bits for salts and incarnations: from the operating system, or from a seed in simulations.

use std::hash::{BuildHasher, RandomState};

/// Any number: the key makes the bits random.
const SALT: u64 = 1;

/// A source of random bits.
#[derive(Debug)]
pub(crate) enum Random {
    /// The standard library keys its hash maps from the operating system, each one anew.
    System,
    /// SplitMix64.
    Seeded(u64),
}

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, Self::Seeded)
    }

    pub(crate) fn next(&mut self) -> u64 {
        match self {
            Self::System => RandomState::new().hash_one(SALT),
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
        }
    }
}
