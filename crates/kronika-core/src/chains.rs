//! The rule that nothing is accepted on a base that failed.

use crate::{ids::Loading, stream::StreamId};
use std::collections::HashMap;

/// Which streams are broken, and since which loading of their aggregate.
///
/// Appends of one stream form a chain: after the first failure the rest fail as *predecessor failed*, in
/// the same group and in every later one, even if their versions happen to fit. Expected versions alone do
/// not give that: a stranger's event may fill the gap that the failed append left, and the next append of
/// the owner, decided on another state, would be let in.
///
/// Each append carries the number of the loading that it was decided on. Once a loading broke, only a newer
/// one is admitted. Every journal keeps one of these for all its life, not one for each group: what waits
/// while a write fails must not go out with the next write.
///
/// Entries are bounded: past [`Chains::STREAMS_MAX`] the broken streams are forgotten and instead every
/// loading up to the highest one seen is refused, which is stricter and costs reloads, never correctness.
#[derive(Debug, Default)]
pub struct Chains {
    broken: HashMap<StreamId, Loading, foldhash::fast::RandomState>,
    /// Refused for every stream.
    floor: Option<Loading>,
    highest: Loading,
}

impl Chains {
    /// Broken streams remembered one by one.
    pub const STREAMS_MAX: usize = 65_536;

    /// Whether an append that stands on this loading may be tried: only if it is newer than the broken one.
    pub fn admits(&mut self, stream: &StreamId, loading: Loading) -> bool {
        self.highest = self.highest.max(loading);
        if self.floor.is_some_and(|floor| loading <= floor) {
            return false;
        }
        // The entry stays: a straggler of the broken loading may come behind the newer one.
        self.broken.is_empty() || self.broken.get(stream).is_none_or(|broken| loading > *broken)
    }

    /// The stream's append of this loading failed.
    pub fn broke(&mut self, stream: &StreamId, loading: Loading) {
        self.highest = self.highest.max(loading);
        if self.floor.is_some_and(|floor| loading <= floor) {
            return;
        }
        if self.broken.len() >= Self::STREAMS_MAX {
            self.broken.clear();
            self.floor = Some(self.highest);
        }
        let newest = self.broken.entry(stream.clone()).or_insert(loading);
        *newest = (*newest).max(loading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: usize) -> StreamId {
        StreamId::new("account", &id.to_string()).unwrap()
    }

    #[test]
    fn a_broken_loading_stays_broken_until_a_newer_one_comes() {
        let (mut chains, a, b) = (Chains::default(), stream(1), stream(2));
        assert!(chains.admits(&a, Loading::new(1)));
        chains.broke(&a, Loading::new(1));
        assert!(!chains.admits(&a, Loading::new(1)));
        assert!(chains.admits(&b, Loading::new(1)));
        assert!(chains.admits(&a, Loading::new(2)));
        assert!(!chains.admits(&a, Loading::new(1)), "a straggler");
        assert!(chains.admits(&a, Loading::new(2)));
    }

    #[test]
    fn memory_is_bounded_and_a_forgotten_stream_is_refused_rather_than_let_in() {
        let mut chains = Chains::default();
        for id in 0..=Chains::STREAMS_MAX {
            chains.broke(&stream(id), Loading::new(id as u64 + 1));
        }
        assert!(chains.broken.len() <= Chains::STREAMS_MAX);
        assert!(!chains.admits(&stream(0), Loading::new(1)));
        assert!(chains.admits(&stream(0), Loading::new(Chains::STREAMS_MAX as u64 + 2)));
    }
}
