//! Latencies of many tasks, kept in a few histograms: one for each task would not fit in a processor's caches.

use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex, PoisonError};

/// Histograms; a task uses the one of its number.
const SHARDS: usize = 8;

/// Where tasks put their latencies. Clones share it.
#[derive(Debug, Clone)]
pub struct Latencies(Arc<[Mutex<Histogram<u64>>; SHARDS]>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::new(histogram()))))
    }
}

impl Latencies {
    /// Puts one in, in nanoseconds.
    pub fn record(&self, task: usize, nanoseconds: u64) {
        let mut own = self.0[task % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        own.saturating_record(nanoseconds);
    }

    /// All of them together.
    pub fn sum(&self) -> Histogram<u64> {
        let mut sum = histogram();
        for some in &*self.0 {
            let some = some.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(&*some).expect("all histograms have the same bounds");
        }
        sum
    }
}

/// For latencies in nanoseconds, from a microsecond to ten minutes, to one per cent.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 600_000_000_000, 2).expect("the bounds are valid")
}
