//! Whether the callers that a commit answered come back at once, as in a closed loop: then the next commit waits for
//! them, and one sync is for all of them. Without it half of them are always in the commit that is being written.
//!
//! Whether they do is seen without waiting, by what arrives within a quarter of a sync after the answers: what
//! arrives by itself comes evenly, and is a quarter of what is answered. So nobody is waited for where a sync is
//! about as fast as the callers are. Callers that stay away are waited for once, and then not for a while.

use std::time::{Duration, Instant};

/// So many commits one after the other had their callers come back before any are waited for.
const COMMITS_SEEN: u32 = 8;
/// Commits that wait for nobody after it was in vain: at first, and at most.
const COMMITS_APART: u32 = 16;
const COMMITS_APART_MAX: u32 = 4096;
/// Weight of the times of syncs so far against a new one, and how much longer than they that one may count.
const WEIGHT: u32 = 7;
const LONGER_MAX: u32 = 4;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// Groups still to come.
    pub(crate) groups: usize,
    /// No longer than that.
    pub(crate) until: Instant,
}

/// What is known of the callers.
#[derive(Debug, Default)]
pub(crate) struct Returning {
    /// How long a write and its sync take.
    sync: Duration,
    /// When callers were answered last; none before the first time.
    at: Option<Instant>,
    callers: usize,
    /// Groups that were queued then already, and are not taken yet.
    queued: usize,
    /// Groups that came after it.
    arrived: usize,
    /// Most of them came in time.
    came_back: bool,
    /// Commits in a row whose callers came back.
    seen: u32,
    /// Commits until callers may be waited for again, and how many it will be after the next time.
    apart: u32,
    apart_next: u32,
    awaited: bool,
    /// Nobody is waited for, ever.
    #[cfg(feature = "simulation")]
    pub(crate) is_off: bool,
}

impl Returning {
    /// So many callers were answered just now, and are awaited.
    #[cfg(test)]
    pub(crate) fn awaiting(callers: usize, sync: Duration) -> Self {
        Self { sync, at: Some(Instant::now()), callers, awaited: true, ..Self::default() }
    }

    /// Whether commits wait for callers.
    pub(crate) fn are_awaited(&self) -> bool {
        self.awaited
    }

    /// A commit took so long, and so many callers are answered now, while so many groups are queued.
    pub(crate) fn answered(&mut self, now: Instant, callers: usize, queued: usize, took: Duration) {
        self.sync = match self.sync {
            Duration::ZERO => took,
            sync => (sync * WEIGHT + took.min(sync * LONGER_MAX)) / (WEIGHT + 1),
        };
        self.seen = if self.came_back { self.seen.saturating_add(1) } else { 0 };
        self.apart = self.apart.saturating_sub(1);
        self.awaited |= self.seen >= COMMITS_SEEN && self.apart == 0;
        #[cfg(feature = "simulation")]
        {
            self.awaited &= !self.is_off;
        }
        (self.at, self.callers, self.queued) = (Some(now), callers, queued);
        (self.arrived, self.came_back) = (0, false);
    }

    /// So many groups were taken from the queue.
    pub(crate) fn arrived(&mut self, now: Instant, groups: usize) {
        let queued = groups.min(self.queued);
        self.queued -= queued;
        self.arrived += groups - queued;
        let in_time = self.at.is_some_and(|at| now < at + self.sync / 4);
        // One caller has nobody to wait for.
        self.came_back |= in_time && self.callers > 1 && self.arrived >= share(self.callers, 4);
    }

    /// What the next commit waits for; none if it is to be written.
    pub(crate) fn awaited(&mut self, now: Instant) -> Option<Awaited> {
        let until = self.at.filter(|_| self.awaited)? + self.sync / 2;
        let groups = share(self.callers, 8).saturating_sub(self.arrived);
        if groups == 0 {
            self.apart_next = self.apart_next.saturating_sub(1).max(COMMITS_APART);
            return None;
        }
        if now >= until {
            self.apart_next = self.apart_next.max(COMMITS_APART);
            (self.awaited, self.seen, self.apart) = (false, 0, self.apart_next);
            self.apart_next = (self.apart_next * 2).min(COMMITS_APART_MAX);
            return None;
        }
        Some(Awaited { groups, until })
    }
}

/// All but one of so many parts: a few callers may stay away.
fn share(callers: usize, parts: usize) -> usize {
    callers - callers / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_millis(4);

    /// Answers callers again and again, of whom so many are back after this time; gives the commits that passed
    /// before any were waited for.
    fn commits_until_awaited(
        returning: &mut Returning,
        now: &mut Instant,
        (callers, back, after): (usize, usize, Duration),
    ) -> Option<u32> {
        (0..10_000).find(|_| {
            *now += SYNC;
            returning.answered(*now, callers, callers, SYNC);
            returning.arrived(*now + after, callers + back);
            returning.are_awaited()
        })
    }

    fn check(answers: (usize, usize, Duration), expected: Option<u32>) {
        let found = commits_until_awaited(&mut Returning::default(), &mut Instant::now(), answers);
        assert_eq!(found, expected, "{answers:?}");
    }

    #[test]
    fn callers_that_come_back_at_once_are_awaited() {
        check((64, 64, SYNC / 8), Some(COMMITS_SEEN));
        check((64, 48, SYNC / 8), Some(COMMITS_SEEN));
        check((2, 2, SYNC / 8), Some(COMMITS_SEEN));
    }

    #[test]
    fn others_are_not() {
        check((64, 47, SYNC / 8), None);
        check((64, 64, SYNC / 4), None);
        check((1, 1, SYNC / 8), None);
    }

    #[test]
    fn a_commit_waits_until_most_are_back_and_no_longer_than_half_a_sync() {
        let (mut returning, mut now) = (Returning::default(), Instant::now());
        commits_until_awaited(&mut returning, &mut now, (64, 64, SYNC / 8)).unwrap();
        returning.answered(now, 64, 3, SYNC);
        let until = now + SYNC / 2;
        returning.arrived(now, 13);
        assert_eq!(returning.awaited(now), Some(Awaited { groups: 46, until }));
        returning.arrived(now, 46);
        assert_eq!(returning.awaited(now), None);
        assert!(returning.are_awaited(), "it was not in vain");
    }

    #[test]
    fn after_waiting_in_vain_nobody_is_awaited_for_longer_and_longer() {
        let (mut returning, mut now) = (Returning::default(), Instant::now());
        let mut apart = COMMITS_SEEN;
        for next in [COMMITS_APART, COMMITS_APART * 2, COMMITS_APART * 4] {
            let passed = commits_until_awaited(&mut returning, &mut now, (8, 8, SYNC / 8));
            assert_eq!(passed.map(|passed| passed.max(COMMITS_SEEN)), Some(apart));
            returning.answered(now, 8, 0, SYNC);
            assert!(returning.awaited(now).is_some());
            assert_eq!(returning.awaited(now + SYNC / 2), None);
            assert!(!returning.are_awaited());
            apart = next - 1;
        }
    }
}
