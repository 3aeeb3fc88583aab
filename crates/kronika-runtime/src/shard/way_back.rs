//! The shard's part of the way back: when it begins, and who is told what at its end.

use super::{Report, Shard};
use crate::{
    error::{CommandError, Failure},
    load::Loaded,
    recovery::{Broken, Recovery, recover},
    resident::{Flight, Pending, Phase},
    stats::Counters,
    work::{Work, panic_message},
};
use futures_util::FutureExt;
use kronika_core::{Aggregate, AppendError, AppendId, Epoch, Token};
use std::{
    collections::{HashSet, VecDeque},
    mem,
    panic::AssertUnwindSafe,
};

impl<A: Aggregate> Shard<A> {
    /// Begins the way back once every append in flight of the stream has its result.
    pub(super) fn recover_if_settled(&mut self, slot: usize) {
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        if resident.phase != Phase::Broken || resident.in_flight > 0 || resident.asking {
            return;
        }
        resident.phase = Phase::Recovering;
        Counters::add(&self.common.counters.recoveries, 1);
        let failed = resident.pending.iter().filter_map(|pending| match &pending.flight {
            Some(Flight::Failed(id, error)) => Some((*id, error.clone())),
            _ => None,
        });
        let broken = Broken {
            stream: resident.stream.clone(),
            epoch: resident.epoch,
            failed: failed.collect(),
        };
        let (common, reporter) = (self.common.clone(), self.reporter.clone());
        tokio::spawn(async move {
            let _permit = common.recoveries.acquire().await; // never closed
            let held = broken.epoch;
            let recover = recover::<A>(&common, broken);
            let recovery = AssertUnwindSafe(recover).catch_unwind().await;
            let recovery = recovery.unwrap_or_else(|panic| {
                common.ownership.leave_in_doubt(held);
                let said = panic_message(&*panic);
                Recovery::unknown(CommandError::Unavailable(format!("recovering panicked: {said}")))
            });
            // The state was read after the fence, if there was one: nobody else can have written since.
            let epoch = common.ownership.epoch();
            let _ = reporter.send(Report::Recovered { slot, epoch, recovery });
        });
    }

    /// Settles what committed and what never will be decided again; decides the rest anew, in order.
    pub(super) fn recovered(&mut self, slot: usize, epoch: Epoch, recovery: Recovery<A>) {
        let Recovery { recorded, certain, then } = recovery;
        let resident = self.resident(slot);
        let pending = resident.take_pending();
        let spoiled = resident.spoiled.take();
        let mut again = VecDeque::new();
        // The last event up to each append, which is the token of one without events.
        let mut last = resident.mark;
        let mut keys = Vec::new();
        // Keys under which something is, or may be, recorded.
        let mut unsure = HashSet::new();
        for Pending { mut work, flight, .. } in pending {
            let request = work.request();
            let (key, append) = (request.key, request.append);
            let settled = match flight {
                Some(Flight::Failed(id, error)) => match (recorded.get(&id), error) {
                    (Some(append), _) => {
                        last = append.mark().unwrap_or(last);
                        Some(Ok((append.version(), Token::of(self.incarnation, last))))
                    }
                    (None, AppendError::UnknownOutcome) if !certain => {
                        Some(Err(CommandError::UnknownOutcome))
                    }
                    (None, AppendError::Unavailable(why)) => {
                        Some(Err(CommandError::Unavailable(why)))
                    }
                    (None, AppendError::TooLarge(what)) => Some(Err(CommandError::TooLarge(what))),
                    (None, AppendError::Failed(why)) => Some(Err(CommandError::JournalFailed(why))),
                    (None, _) => None,
                },
                Some(Flight::Recorded(committed)) => {
                    last = committed.mark.unwrap_or(last);
                    Some(Ok((committed.version, Token::of(self.incarnation, last))))
                }
                Some(Flight::Out(_)) => unreachable!("nothing is in flight on the way back"),
                None => None,
            };
            match (settled, &then) {
                (Some(settled), _) => {
                    if matches!(settled, Ok(_) | Err(CommandError::UnknownOutcome)) {
                        unsure.extend(key);
                    }
                    keys.extend(key.map(|key| (key, append.filter(|_| settled.is_ok()))));
                    self.tally.count(work.settle(settled));
                }
                (None, Ok(_)) => again.push_back(work),
                (None, Err(failure)) => {
                    keys.extend(key.map(|key| (key, None)));
                    self.tally.count(work.settle(Err(same(failure))));
                }
            }
        }
        if let Some(mut work) = spoiled {
            keys.extend(work.request().key.map(|key| (key, None)));
            let mark = self.resident(slot).mark;
            let version = self.resident(slot).durable;
            self.tally.count(work.settle(Ok((version, Token::of(self.incarnation, mark)))));
        }
        match then {
            Ok(loaded) => self.go_on(slot, epoch, loaded, keys, again),
            Err(failure) => self.give_up(slot, &failure, &unsure),
        }
    }

    pub(super) fn go_on(
        &mut self,
        slot: usize,
        epoch: Epoch,
        loaded: Loaded<A>,
        keys: Vec<(u128, Option<AppendId>)>,
        again: VecDeque<Box<dyn Work<A>>>,
    ) {
        self.install(slot, loaded, epoch);
        for (key, append) in keys {
            if let Some(id) = append {
                self.remember(slot, key, id);
            }
            self.free_key(slot, key);
        }
        // First those that were decided before, in their order, then what came meanwhile.
        self.waiting += again.len();
        let backlog = &mut self.resident(slot).backlog;
        again.into_iter().rev().for_each(|work| backlog.push_front(work));
        self.drain_backlog(slot);
    }

    /// The aggregate cannot serve: everything that waits for it is told why, and it is let go.
    pub(super) fn give_up(&mut self, slot: usize, failure: &Failure, unsure: &HashSet<u128>) {
        tracing::warn!(stream = %self.resident(slot).stream, %failure, "an aggregate cannot be served");
        let mut resident = self.vacate(slot);
        for (key, twins) in mem::take(&mut resident.twins) {
            self.waiting -= twins.len();
            for twin in twins {
                let told = match unsure.contains(&key) {
                    true => CommandError::UnknownOutcome,
                    false => same(failure),
                };
                self.tally.count(twin.settle(Err(told)));
            }
        }
        self.waiting -= resident.backlog.len();
        for work in mem::take(&mut resident.backlog) {
            self.tally.count(work.settle(Err(same(failure))));
        }
    }
}

/// The same failure for one more command.
fn same(failure: &Failure) -> Failure {
    match failure {
        CommandError::NotOwner => CommandError::NotOwner,
        CommandError::Stopping => CommandError::Stopping,
        CommandError::JournalFailed(why) => CommandError::JournalFailed(why.clone()),
        CommandError::NotLoadable { stream, version, reason } => CommandError::NotLoadable {
            stream: stream.clone(),
            version: *version,
            reason: reason.clone(),
        },
        CommandError::Unavailable(why) => CommandError::Unavailable(why.clone()),
        other => CommandError::Unavailable(other.to_string()),
    }
}
