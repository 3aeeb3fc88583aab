//! What a runtime takes from its surroundings: time and randomness, both replaceable, so that a simulation
//! with the same seed takes the same way.

use kronika_core::Timestamp;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// The wall clock and the source of random bits.
#[derive(Clone)]
pub struct Environment {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    seed: Option<Arc<AtomicU64>>,
}

impl Environment {
    /// The machine's clock and randomness.
    pub fn real() -> Self {
        Self { clock: Arc::new(|| Timestamp::from_system(SystemTime::now())), seed: None }
    }

    /// A given clock, and random bits that follow from a seed.
    pub fn seeded(seed: u64, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), seed: Some(Arc::new(AtomicU64::new(seed))) }
    }

    /// The wall clock's time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A generator of its own for one shard or task.
    pub fn random(&self) -> fastrand::Rng {
        match &self.seed {
            None => fastrand::Rng::new(),
            Some(seed) => {
                // The golden-ratio step of SplitMix64 keeps the streams apart.
                fastrand::Rng::with_seed(seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
            }
        }
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::real()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("seeded", &self.seed.is_some()).finish_non_exhaustive()
    }
}
