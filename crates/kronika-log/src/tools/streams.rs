//! The version of every stream, and nothing else of it: 24 bytes each, up to twice that while the table grows.

use kronika_core::StreamId;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_128;

const VERSION_BITS: u32 = 40;
const VERSION_MASK: u64 = (1 << VERSION_BITS) - 1;

/// Versions of streams by the 128-bit hash of their names.
#[derive(Debug, Default)]
pub(crate) struct StreamVersions {
    /// The version, and in the upper bits how many gaps of the scan there had been when it was seen.
    versions: HashMap<u128, u64, foldhash::fast::RandomState>,
    gaps: u64,
}

impl StreamVersions {
    /// Commits were left out: each stream may have gone on meanwhile.
    pub(crate) fn gap(&mut self) {
        self.gaps = (self.gaps + 1).min(u64::MAX >> VERSION_BITS);
    }

    /// An append stands on a version. The newest one that was seen, where that is another and no gap says why.
    pub(crate) fn append(&mut self, stream: &StreamId, expected: u64, events: u64) -> Option<u64> {
        let known = self.versions.insert(
            xxh3_128(stream.name().as_bytes()),
            (expected + events) & VERSION_MASK | self.gaps << VERSION_BITS,
        );
        let (version, gaps) =
            known.map_or((0, 0), |known| (known & VERSION_MASK, known >> VERSION_BITS));
        (version != expected && gaps == self.gaps).then_some(version)
    }

    /// How many streams were seen.
    pub(crate) fn len(&self) -> u64 {
        self.versions.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_the_next_is_told_unless_there_was_a_gap() {
        let (a, b) = (StreamId::new("x", "a").unwrap(), StreamId::new("x", "b").unwrap());
        let mut streams = StreamVersions::default();
        assert_eq!(streams.append(&a, 0, 2), None);
        assert_eq!(streams.append(&a, 2, 0), None);
        assert_eq!(streams.append(&a, 3, 1), Some(2));
        assert_eq!(streams.append(&b, 1, 1), Some(0));
        streams.gap();
        assert_eq!(streams.append(&a, 9, 1), None);
        assert_eq!(streams.append(&a, 9, 1), Some(10));
        assert_eq!(streams.append(&StreamId::new("x", "c").unwrap(), 7, 1), None);
        assert_eq!(streams.len(), 3);
    }
}
