//! What a runner is told from outside while it runs.

use kronika_core::Wanted;
use std::time::Duration;
use tokio::time::Instant;

/// What one runner is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Orders {
    /// End, with what is in flight.
    pub stop: bool,
    pub wanted: Wanted,
    /// Raised when somebody may have asked for something to be done with parked keys.
    pub acts: u64,
}

/// Keeps a rate: so many events in a second, at most.
#[derive(Default)]
pub(super) struct Throttle {
    not_before: Option<Instant>,
}

/// Batches in a second under a throttle, about: the events of one go at once.
const BATCHES_PER_SECOND: u64 = 20;

impl Throttle {
    /// Events that may go at once.
    pub fn events_max(wanted: &Wanted, events_max: usize) -> usize {
        let Some(rate) = wanted.events_per_second else { return events_max };
        let share = (rate / BATCHES_PER_SECOND).max(1);
        events_max.min(usize::try_from(share).unwrap_or(usize::MAX))
    }

    /// So many events went.
    pub fn spend(&mut self, wanted: &Wanted, events: usize) {
        let Some(rate) = wanted.events_per_second.filter(|_| events > 0) else {
            self.not_before = None;
            return;
        };
        let now = Instant::now();
        let from = self.not_before.filter(|at| *at > now).unwrap_or(now);
        let takes = Duration::from_secs_f64(events as f64 / rate.max(1) as f64);
        self.not_before = from.checked_add(takes);
    }

    /// When the next ones may go, if that is not now.
    pub fn until(&self, wanted: &Wanted) -> Option<Instant> {
        let set = wanted.events_per_second.is_some();
        self.not_before.filter(|at| set && *at > Instant::now())
    }
}

/// Events in a second, over the last seconds.
#[derive(Default)]
pub(super) struct Meter {
    since: Option<Instant>,
    events: u64,
    rate: f64,
}

/// Time over which events are counted before they make a rate.
const WINDOW: Duration = Duration::from_secs(1);

impl Meter {
    /// So many more; gives the rate.
    pub fn count(&mut self, events: u64) -> f64 {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        self.events += events;
        let passed = now - since;
        if passed >= WINDOW {
            let rate = self.events as f64 / passed.as_secs_f64();
            // Half of what it was: smooth over some seconds.
            self.rate = if self.rate == 0.0 { rate } else { (self.rate + rate) / 2.0 };
            (self.since, self.events) = (Some(now), 0);
        }
        self.rate
    }

    /// Nothing is left to be done: what comes next begins anew.
    pub fn rest(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_throttle_keeps_its_rate_and_none_keeps_nothing_back() {
        let wanted = Wanted { events_per_second: Some(100), ..Wanted::default() };
        let (mut throttle, begun) = (Throttle::default(), Instant::now());
        assert_eq!(Throttle::events_max(&wanted, 4096), 5);
        for _ in 0..40 {
            if let Some(until) = throttle.until(&wanted) {
                tokio::time::sleep_until(until).await;
            }
            throttle.spend(&wanted, 5);
        }
        let took = begun.elapsed().as_secs_f64();
        assert!((1.9..=2.0).contains(&took), "{took}");
        let free = Wanted::default();
        assert_eq!(Throttle::events_max(&free, 4096), 4096);
        assert_eq!(throttle.until(&free), None);
        throttle.spend(&free, 4096);
        assert_eq!(throttle.until(&wanted), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_meter_gives_events_in_a_second() {
        let mut meter = Meter::default();
        for _ in 0..100 {
            meter.count(10);
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let rate = meter.count(0);
        assert!((95.0..=110.0).contains(&rate), "{rate}");
    }
}
