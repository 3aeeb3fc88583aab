//! One order of everything that a test observes, finer than any clock.
//!
//! Under a paused clock much happens at one instant; a counter still tells what came first.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// When something was observed: what was observed earlier has a smaller one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment(u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("#{}", self.0))
    }
}

/// Where moments come from. Clones share one counter: a journal and the history of what callers saw of it
/// must use the same.
#[derive(Clone, Debug, Default)]
pub struct Moments(Arc<AtomicU64>);

impl Moments {
    /// The present moment, later than all before.
    pub fn now(&self) -> Moment {
        Moment(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
