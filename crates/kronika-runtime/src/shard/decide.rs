//! Deciding one command: the checks in their order, the handler, and what goes to the journal.

use super::Shard;
use crate::{
    error::{CommandError, Failure},
    keys::Remembered,
    request::CommandOptions,
    resident::{Flight, Pending, Phase},
    stats::Counters,
    work::{Decided, Record, Work},
};
use bytes::Bytes;
use kronika_core::{Aggregate, Append, AppendId, AppendMore, Context, Keyed, Origin, Timer};
use std::mem;

impl<A: Aggregate> Shard<A> {
    /// The order of the checks is promise 5: key, then version, deadline and rules.
    pub(super) fn decide(&mut self, slot: usize, mut work: Box<dyn Work<A>>) {
        let request = work.request();
        if let Some(key) = request.key {
            let again = request.decisions > 0;
            let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
            match resident.keys.look_up(key) {
                Remembered::Recorded(id) => {
                    // Decided before, on a state that did not have it: another sending was recorded since.
                    if again {
                        self.free_key(slot, key);
                    }
                    return self.replay(slot, work, id);
                }
                _ if again => {}
                remembered => {
                    if resident.twins.contains_key(&key) {
                        return self.wait_for_twin(slot, key, work);
                    }
                    if remembered == Remembered::Forgotten {
                        return self.ask(slot, work);
                    }
                }
            }
        }
        self.decide_new(slot, work);
    }

    /// Decides a command whose key, if it has one, is known to be new.
    pub(super) fn decide_new(&mut self, slot: usize, mut work: Box<dyn Work<A>>) {
        if self.common.ownership.is_lost() {
            return self.refuse_now(slot, work, CommandError::NotOwner);
        }
        if let Some(why) = self.common.ownership.failure()
            && work.request().command.is_some()
        {
            return self.refuse_now(slot, work, CommandError::JournalFailed(why));
        }
        let (now, instant) = (self.now, self.instant);
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let request = work.request();
        if request.decisions == 0 {
            let late = request.options.deadline.is_some_and(|deadline| deadline <= instant);
            let withdrawn = !late && request.withdrawal.as_ref().is_some_and(|it| !it.decide());
            if late || withdrawn {
                return self.refuse_now(slot, work, CommandError::DeadlinePassed);
            }
        }
        request.records_body = self.common.records_bodies;
        request.decisions += 1;
        if request.decisions > self.common.limits.decisions {
            let why = format!("not recorded after {} decisions", self.common.limits.decisions);
            return self.refuse_now(slot, work, CommandError::Unavailable(why));
        }
        if resident.in_flight == 0 {
            // Nobody else can have written since this process claimed over its own epoch.
            resident.epoch = self.common.ownership.epoch();
        }
        if let Some(key) = request.key {
            resident.twins.entry(key).or_default();
        }
        let (before, key) = (resident.version, request.key);
        let expected = request.options.expected_version;
        if expected.is_some_and(|expected| !expected.fits(before)) {
            work.refuse(CommandError::VersionConflict { newest: before });
            resident.push(Pending { work, needs: before, flight: None });
            return self.release(slot);
        }
        let context = Context::new(&resident.id, before, now);
        let decided = work.decide(&mut resident.state, &context);
        // One look at the clock for each: what lies between two handlers is little.
        let now = std::time::Instant::now();
        let took = now.duration_since(mem::replace(&mut self.handled, now));
        if took >= self.common.limits.slow_handler {
            Counters::add(&self.common.counters.slow_handlers, 1);
            let second = std::time::Duration::from_secs(1);
            if self.named_slow.is_none_or(|named| now.duration_since(named) >= second) {
                self.named_slow = Some(now);
                let command = work.request().command.unwrap_or("read");
                tracing::warn!(stream = %resident.stream, command, ?took, "slow handler");
            }
        }
        match decided {
            Decided::Record(record) if record.events.is_empty() && key.is_none() => {
                resident.push(Pending { work, needs: before, flight: None });
                self.release(slot);
            }
            Decided::Record(record) => self.record(slot, work, record),
            #[cfg(feature = "planted-faults")]
            Decided::Answer if self.common.limits.early_rejection => {
                let token = kronika_core::Token::of(self.incarnation, resident.mark);
                self.tally.count(work.settle(Ok((before, token))));
                key.map(|key| self.free_key(slot, key));
            }
            Decided::Answer | Decided::Panicked => {
                if matches!(decided, Decided::Panicked) {
                    Counters::add(&self.common.counters.panics, 1);
                }
                resident.push(Pending { work, needs: before, flight: None });
                self.release(slot);
            }
            Decided::Spoiled => {
                Counters::add(&self.common.counters.panics, 1);
                tracing::error!(stream = %resident.stream, "a panic spoiled the state; loading it again");
                resident.spoiled = Some(work);
                resident.phase = Phase::Broken;
                self.recover_if_settled(slot);
            }
        }
    }

    /// Refuses a command at once, since it saw nothing; its key, if it held one, is free again.
    pub(super) fn refuse_now(&mut self, slot: usize, mut work: Box<dyn Work<A>>, failure: Failure) {
        let key = work.request().key;
        self.tally.count(work.settle(Err(failure)));
        if let Some(key) = key {
            self.free_key(slot, key);
        }
    }

    pub(super) fn record(&mut self, slot: usize, mut work: Box<dyn Work<A>>, record: Record) {
        let Record { events, timers, reply, body } = record;
        let more = more(&work.request().options, timers, reply, body);
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let request = work.request();
        let (now, random) = (self.now, &mut self.random);
        let id = *request.append.get_or_insert_with(|| AppendId::from_parts(now, random.u64(..)));
        let append = Append {
            id,
            stream: resident.stream.clone(),
            expected: resident.version,
            epoch: resident.epoch,
            loading: resident.loading,
            command: request.command.expect("only commands record").into(),
            more,
            events,
        };
        resident.version = resident.version.plus(append.events.len() as u64);
        let needs = resident.version;
        let number = resident.push(Pending { work, needs, flight: Some(Flight::Out(id)) });
        let bytes = append.events.iter().map(|event| event.body.len() + 128).sum::<usize>();
        resident.unweighed += bytes;
        resident.progress.since += bytes;
        self.in_flight_appends += 1;
        self.in_flight_bytes += bytes;
        self.outgoing.bytes += bytes;
        self.outgoing.sent.push((slot, number));
        self.outgoing.appends.push(append);
        self.weigh(slot);
        self.note_due(slot);
    }
}

/// What the append carries beside its events; mostly nothing.
fn more(
    options: &CommandOptions,
    timers: Vec<Timer>,
    reply: Option<Bytes>,
    command_body: Option<Bytes>,
) -> Option<Box<AppendMore>> {
    let CommandOptions { idempotency_key, origin, fingerprint, .. } = options;
    let plain = reply.is_none() && command_body.is_none() && timers.is_empty();
    if plain && *origin == Origin::default() {
        return None;
    }
    let keyed = reply.zip(idempotency_key.clone()).map(|(reply, key)| Keyed {
        key,
        fingerprint: fingerprint.expect("a keyed command was fingerprinted when it was sent"),
        reply,
    });
    let origin = origin.clone();
    Some(Box::new(AppendMore { command_body, keyed, origin, timers, encryption_key: None }))
}
