//! Which resident is worth least: a small frequency sketch, after TinyLFU (Einziger, Friedman, Manes 2017),
//! and the choice of a victim among a sample by frequency per byte.

/// A count-min sketch of four rows of small counters, halved when enough was counted, so that the past fades.
#[derive(Debug)]
pub(crate) struct Frequency {
    counters: Box<[u8]>,
    counted: usize,
}

const ROW: usize = 1 << 14;
const ROWS: usize = 4;
/// Uses after which all counters are halved: ten for each counter of a row.
const SAMPLE: usize = ROW * 10;

impl Frequency {
    pub fn new() -> Self {
        Self { counters: vec![0; ROW * ROWS].into_boxed_slice(), counted: 0 }
    }

    /// Four places from one hash: its 16-bit parts.
    fn places(hash: u64) -> [usize; ROWS] {
        std::array::from_fn(|row| row * ROW + (hash >> (16 * row)) as usize % ROW)
    }

    pub fn used(&mut self, hash: u64) {
        for place in Self::places(hash) {
            self.counters[place] = self.counters[place].saturating_add(1);
        }
        self.counted += 1;
        if self.counted >= SAMPLE {
            self.counted = 0;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    pub fn estimate(&self, hash: u64) -> u8 {
        Self::places(hash).map(|place| self.counters[place]).into_iter().min().unwrap_or(0)
    }
}

/// What a resident is worth: uses per byte, times a constant so that integers do.
pub(crate) fn worth(frequency: u8, weight_bytes: usize) -> u64 {
    (u64::from(frequency) + 1) * (1 << 32) / weight_bytes.max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_often_is_worth_more_and_the_past_fades() {
        let mut frequency = Frequency::new();
        (0..100).for_each(|_| frequency.used(7));
        frequency.used(0x1234_5678_9abc_def0);
        assert!(frequency.estimate(7) > frequency.estimate(0x1234_5678_9abc_def0));
        assert!(worth(100, 1000) > worth(1, 1000) && worth(1, 100) > worth(1, 1000));
        (0..SAMPLE as u64)
            .for_each(|hash| frequency.used(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert!(frequency.estimate(7) < 80);
    }
}
