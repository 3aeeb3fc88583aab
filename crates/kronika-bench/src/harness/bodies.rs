//! Bodies of events: text that does not compress to nothing, another one each time.

/// Bytes of text that bodies are cut from.
const POOL_BYTES: usize = 64 << 10;

/// An endless supply of bodies of one size.
#[derive(Debug, Clone)]
pub struct Bodies {
    pool: Vec<u8>,
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

    /// The next one.
    pub fn next(&mut self) -> &[u8] {
        // A step without a common divisor with the places, so that they do not come again soon.
        self.at = (self.at + 7919) % (self.pool.len() - self.bytes);
        &self.pool[self.at..self.at + self.bytes]
    }
}
