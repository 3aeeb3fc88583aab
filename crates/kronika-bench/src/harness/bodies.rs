//! Bodies of events: text that does not compress to nothing, another one each time.

use std::sync::Arc;

/// Bytes of text that bodies are cut from: few enough to stay in a processor's cache, as what a caller has just made.
const POOL_BYTES: usize = 64 << 10;

/// An endless supply of bodies of one size. Clones share the text.
#[derive(Debug, Clone)]
pub struct Bodies {
    pool: Arc<[u8]>,
    bytes: usize,
    at: usize,
}

impl Bodies {
    /// Bodies of so many bytes; each seed gives others.
    pub fn new(bytes: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let pool = std::iter::repeat_with(|| random.alphanumeric() as u8);
        Self { pool: pool.take(POOL_BYTES.max(2 * bytes)).collect(), bytes, at: 0 }
    }

    /// The same text, begun elsewhere.
    pub fn from(&self, place: usize) -> Self {
        let at = place.wrapping_mul(104_729) % (self.pool.len() - self.bytes);
        Self { at, ..self.clone() }
    }

    /// The next one.
    pub fn next(&mut self) -> &[u8] {
        // A step without a common divisor with the places, so that they do not come again soon.
        self.at = (self.at + 7919) % (self.pool.len() - self.bytes);
        &self.pool[self.at..self.at + self.bytes]
    }
}
