//! What a turn of the loop counts, added to the shared counters at its end.

use crate::{stats::Counters, work::Counted};

/// Counted in the loop, added to the shared counters once a turn.
#[derive(Default)]
pub(super) struct Tally {
    accepted: u64,
    rejected: u64,
    failed: u64,
    reads: u64,
    pub(super) events: u64,
}

impl Tally {
    pub(super) fn count(&mut self, counted: Counted) {
        match counted {
            Counted::Accepted => self.accepted += 1,
            Counted::Rejected => self.rejected += 1,
            Counted::Failed => self.failed += 1,
            Counted::Read => self.reads += 1,
        }
    }

    pub(super) fn add_to(self, counters: &Counters) {
        let Self { accepted, rejected, failed, reads, events } = self;
        Counters::add(&counters.commands, accepted + rejected + failed);
        Counters::add(&counters.accepted, accepted);
        Counters::add(&counters.rejected, rejected);
        Counters::add(&counters.failed, failed);
        Counters::add(&counters.reads, reads);
        Counters::add(&counters.events, events);
    }
}

/// Counts one answer that was told outside the loop.
pub(super) fn count(counters: &Counters, counted: Counted) {
    let mut tally = Tally::default();
    tally.count(counted);
    tally.add_to(counters);
}
