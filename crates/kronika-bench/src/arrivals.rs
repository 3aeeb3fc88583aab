//! Arrivals that come by themselves: an answer that is slow does not hold back what is to come after it.

use std::{
    thread,
    time::{Duration, Instant},
};

/// When something arrives: the times between are those of a Poisson process.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals {
    /// A second, on average.
    pub rate: f64,
    /// How long they come.
    pub time: Duration,
    /// Each seed gives other times.
    pub seed: u64,
}

impl Arrivals {
    /// Calls `each` with its number and the moment at which it was meant to come, on this thread, which sleeps between.
    pub fn run(self, mut each: impl FnMut(usize, Instant)) {
        wake_in_time();
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (begun, mut due) = (Instant::now(), Duration::ZERO);
        for number in 0.. {
            due += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / self.rate);
            if due > self.time {
                break;
            }
            let intended = begun + due;
            while let Some(left) = intended.checked_duration_since(Instant::now()) {
                thread::sleep(left);
            }
            each(number, intended);
        }
    }
}

/// The system rounds this thread's sleeping to a microsecond instead of fifty.
fn wake_in_time() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1_000));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_comes_before_its_time() {
        let arrivals = Arrivals { rate: 10_000.0, time: Duration::from_millis(20), seed: 1 };
        let mut numbers = Vec::new();
        arrivals.run(|number, intended| {
            assert!(Instant::now() >= intended);
            numbers.push(number);
        });
        assert!(!numbers.is_empty() && numbers.iter().copied().eq(0..numbers.len()));
    }
}
