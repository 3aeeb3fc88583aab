//! How long to wait before the next try.

use super::settings::ProjectionSettings;
use std::time::Duration;

/// Doubling waits, with jitter between a half and the whole.
pub(super) struct Pace {
    next: Duration,
    most: Duration,
}

impl Pace {
    pub fn new(settings: &ProjectionSettings) -> Self {
        Self::between(settings.retry_after_min, settings.retry_after_max)
    }

    pub fn between(least: Duration, most: Duration) -> Self {
        Self { next: least, most }
    }

    pub fn next(&mut self, random: &mut fastrand::Rng) -> Duration {
        let wait = self.next.min(self.most);
        self.next = (self.next * 2).min(self.most);
        wait.mul_f64(0.5 + random.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_bound_with_jitter_of_a_half() {
        let mut pace = Pace::new(&ProjectionSettings::default());
        let mut random = fastrand::Rng::with_seed(1);
        for whole in [20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000] {
            let wait = pace.next(&mut random);
            let whole = Duration::from_millis(whole);
            assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
        }
    }
}
