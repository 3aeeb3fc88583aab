//! Idempotency keys: remembered, repeated, asked for.

use super::{Found, Report, Shard, by_key, find_by_key, replay};
use crate::{
    error::{CommandError, overloaded},
    resident::Phase,
    stats::Counters,
    work::Work,
};
use kronika_core::{Aggregate, AppendId};

impl<A: Aggregate> Shard<A> {
    pub(super) fn remember(&mut self, slot: usize, key: u128, id: AppendId) {
        let limit = self.common.limits.key_bytes / self.common.limits.shards.max(1);
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let before = resident.keys.bytes();
        resident.keys.remember(key, id);
        self.key_bytes += resident.keys.bytes() - before;
        if self.key_bytes > limit {
            self.key_bytes -= resident.keys.bytes();
            resident.keys.forget();
        }
    }

    /// The first with a key is answered: those that came again meanwhile are handled now, in order.
    pub(super) fn free_key(&mut self, slot: usize, key: u128) -> bool {
        let resident = self.resident(slot);
        let twins = resident.twins.remove(&key).unwrap_or_default();
        let again = !twins.is_empty();
        twins.into_iter().rev().for_each(|twin| resident.backlog.push_front(twin));
        again
    }

    /// Gives the recorded receipt for a repeated key.
    pub(super) fn replay(&mut self, slot: usize, work: Box<dyn Work<A>>) {
        let (common, stream) = (self.common.clone(), self.resident(slot).stream.clone());
        tokio::spawn(async move { replay(&common, &stream, work).await });
    }

    /// Asks the journal for a key that memory has forgotten; what comes for the aggregate waits.
    pub(super) fn ask(&mut self, slot: usize, mut work: Box<dyn Work<A>>) {
        if !self.common.journal.capabilities().finds_keys {
            let failure = overloaded("the memory for idempotency keys");
            self.tally.count(work.settle(Err(failure)));
            return;
        }
        let by = by_key(&mut work);
        let resident = self.resident(slot);
        resident.phase = Phase::Asking;
        resident.asking = true;
        let stream = resident.stream.clone();
        let (common, reporter) = (self.common.clone(), self.reporter.clone());
        tokio::spawn(async move {
            let found = find_by_key(&*common.journal, &stream, by).await;
            let _ = reporter.send(Report::Asked { slot, work, found });
        });
    }

    pub(super) fn asked(&mut self, slot: usize, work: Box<dyn Work<A>>, found: Found) {
        let resident = self.resident(slot);
        resident.asking = false;
        if resident.phase == Phase::Asking {
            resident.phase = Phase::Live;
        }
        match found {
            Ok(Some((append, token))) => {
                Counters::add(&self.common.counters.replayed, 1);
                self.tally.count(work.replay(&append, token));
            }
            Ok(None) if self.resident(slot).phase == Phase::Live => self.decide_new(slot, work),
            // Broken meanwhile: it goes first when the aggregate is loaded again.
            Ok(None) => self.resident(slot).backlog.push_front(work),
            Err(error) => {
                let failure = CommandError::Unavailable(error.to_string());
                self.tally.count(work.settle(Err(failure)));
            }
        }
        self.drain_backlog(slot);
        if self.resident(slot).phase == Phase::Broken {
            self.recover_if_settled(slot);
        }
    }
}
