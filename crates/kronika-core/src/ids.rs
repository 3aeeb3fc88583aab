//! Identities and numbers as types of their own, so that a version is never taken for a position.
//!
//! Nothing here does arithmetic across kinds, and nothing here makes an identity up: random bits are
//! handed in by whoever owns the source of randomness.

use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);
        impl $name {
            /// Wraps a bare number.
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }
            /// The bare number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// Place of an event in its stream, from 1 without gaps; 0 stands before the first event.
    Version(u64)
}
number! {
    /// Place of an event in its journal partition, from 1, dense and in commit order; 0 stands before
    /// the first event.
    Position(u64)
}
number! {
    /// Number of an ownership of slices, rising at each claim; 0 was never claimed. An append under an
    /// older epoch than the present one is refused by the journal itself.
    Epoch(u64)
}
number! {
    /// A unit of total order in a journal. The embedded log has one, number 0.
    PartitionId(u16)
}
number! {
    /// Number of one loading of an aggregate, from one counter of the process and never used again.
    /// What was decided on a loading that broke is refused by the journal, see [`crate::Chains`].
    Loading(u64)
}
number! {
    /// Microseconds since 1970-01-01T00:00:00Z, by the wall clock: data only, nothing is ordered by it.
    Timestamp(i64)
}

impl Version {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The version `count` events later.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl Position {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The position `count` events later.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl Epoch {
    /// The epoch of the next claim.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Timestamp {
    /// The wall clock's time, to the microsecond; clamped to what an `i64` of microseconds holds.
    pub fn from_system(time: std::time::SystemTime) -> Self {
        let micros = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros)
            }
        };
        Self(micros)
    }

    /// This time plus a duration, saturating.
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long `self` is after `earlier`; zero if it is not.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        let micros = i128::from(self.0) - i128::from(earlier.0);
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);
        impl $name {
            /// Wraps 128 bits.
            pub const fn new(bits: u128) -> Self {
                Self(bits)
            }
            /// The 128 bits.
            pub const fn get(self) -> u128 {
                self.0
            }
        }
        /// 32 hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), self.0)
            }
        }
        /// As `Display` writes it.
        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

identity! {
    /// Identity of one append, chosen before it is sent and kept when it is sent again. Its lowest
    /// [`AppendId::EVENT_BITS`] bits are zero, so that the ids of its events follow from it.
    AppendId
}
identity! {
    /// Identity of an event: by default its append's id plus its place in the append, from 1.
    EventId
}
identity! {
    /// Identity of one history of a journal. A restore to the past begins a new one.
    Incarnation
}

impl AppendId {
    /// Bits kept free for the place of an event in its append.
    pub const EVENT_BITS: u32 = 16;

    /// An id from a time and 64 random bits: sortable by time to the millisecond, as UUID version 7 is.
    pub const fn from_parts(time: Timestamp, random: u64) -> Self {
        let millis = (time.0 / 1000) as u128 & ((1 << 48) - 1);
        Self((millis << 80) | ((random as u128) << Self::EVENT_BITS))
    }

    /// The id of the event at `index` (from 0) of this append; wrapping, for an id that leaves no bits free.
    pub const fn event(self, index: usize) -> EventId {
        EventId(self.0.wrapping_add(index as u128 + 1))
    }
}

/// Number of slices: work is spread over owners, shards and workers by ranges of them. Frozen.
pub const SLICES: u16 = 1024;

/// A hash of the stream id into 0..1024: xxh3-64 of `type/id`, modulo [`SLICES`]. Frozen by test vectors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slice(u16);

impl Slice {
    /// The slice of a stream by its whole name, `type/id`.
    pub fn of(stream_name: &str) -> Self {
        Self((xxh3_64(stream_name.as_bytes()) % u64::from(SLICES)) as u16)
    }

    /// 0 to 1023.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A contiguous range of slices, from `first` to `last` inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SliceRange {
    first: u16,
    last: u16,
}

impl SliceRange {
    /// All 1024 slices.
    pub const ALL: Self = Self { first: 0, last: SLICES - 1 };

    /// The slices from `first` to `last` inclusive; `None` if that is empty or beyond the last slice.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last && last < SLICES { Some(Self { first, last }) } else { None }
    }

    /// First slice.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// Last slice, inclusive.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the slice is in the range.
    pub const fn contains(self, slice: Slice) -> bool {
        self.first <= slice.0 && slice.0 <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_frozen() {
        let names = ["account/a", "auction/1638893549", "bid/ü", "x/"];
        assert_eq!(names.map(|name| Slice::of(name).get()), [298, 139, 761, 340]);
    }

    #[test]
    fn event_ids_follow_from_the_append() {
        let append = AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), u64::MAX);
        assert_eq!(append.get() & 0xffff, 0);
        assert_eq!(append.event(0).get(), append.get() + 1);
        assert_eq!(append.to_string().parse(), Ok(append));
    }

    #[test]
    fn durations_never_wrap() {
        let (early, late) = (Timestamp::new(i64::MIN), Timestamp::new(i64::MAX));
        assert_eq!(early.since(late), std::time::Duration::ZERO);
        assert_eq!(late.plus(std::time::Duration::MAX), late);
    }
}
