//! Deciding one command: the checks in their order, the handler, and what goes to the journal.

use super::Shard;
use crate::{
    error::{CommandError, Failure, overloaded},
    keys::Remembered,
    resident::{Flight, Pending, Phase},
    stats::Counters,
    work::{Decided, Work},
};
use kronika_core::{
    Aggregate, Append, AppendId, AppendMore, Context, Keyed, NewEvent, Origin, Timer,
};
use std::mem;

impl<A: Aggregate> Shard<A> {
    /// The order of the checks is promise 5: key, then version, deadline and rules.
    pub(super) fn decide(&mut self, slot: usize, mut work: Box<dyn Work<A>>) {
        let request = work.request();
        if let Some(key) = request.key
            && request.decisions == 0
        {
            let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
            if let Some(twins) = resident.twins.get_mut(&key) {
                if twins.len() < self.common.limits.pending_commands {
                    return twins.push_back(work);
                }
                let failure = overloaded("the queue of one idempotency key");
                return self.tally.count(work.settle(Err(failure)));
            }
            match resident.keys.look_up(key) {
                Remembered::New => {}
                Remembered::Recorded => return self.replay(slot, work),
                Remembered::Forgotten => return self.ask(slot, work),
            }
        }
        self.decide_new(slot, work);
    }

    /// Decides a command whose key, if it has one, is known to be new.
    pub(super) fn decide_new(&mut self, slot: usize, mut work: Box<dyn Work<A>>) {
        if self.common.ownership.is_lost() {
            return self.refuse_now(slot, work, CommandError::NotOwner);
        }
        let (now, instant) = (self.now, self.instant);
        let resident = self.slots[slot].as_mut().expect("a slot that is spoken of is occupied");
        let request = work.request();
        if request.decisions == 0 {
            let late = request.options.deadline.is_some_and(|deadline| deadline <= instant);
            let withdrawn = request.withdrawal.as_ref().is_some_and(|it| !it.decide());
            if late || withdrawn {
                return self.refuse_now(slot, work, CommandError::DeadlinePassed);
            }
        }
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
            Decided::Record { events, .. } if events.is_empty() && key.is_none() => {
                resident.push(Pending { work, needs: before, flight: None });
                self.release(slot);
            }
            Decided::Record { events, timers } => self.record(slot, work, events, timers),
            #[cfg(feature = "planted-faults")]
            Decided::Answer if self.common.limits.early_rejection => {
                let token = kronika_core::Token::of(self.incarnation, resident.mark);
                self.tally.count(work.settle(Ok((before, token))));
                key.map(|key| self.free_key(slot, key));
            }
            Decided::Answer => {
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

    pub(super) fn record(
        &mut self,
        slot: usize,
        mut work: Box<dyn Work<A>>,
        events: Vec<NewEvent>,
        timers: Vec<Timer>,
    ) {
        let more = self.more(&mut work, timers);
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
        self.in_flight_appends += 1;
        self.in_flight_bytes += bytes;
        self.outgoing.bytes += bytes;
        self.outgoing.sent.push((slot, number));
        self.outgoing.appends.push(append);
        self.weigh(slot);
    }

    pub(super) fn more(
        &self,
        work: &mut Box<dyn Work<A>>,
        timers: Vec<Timer>,
    ) -> Option<Box<AppendMore>> {
        let bodies = self.common.records_bodies;
        let options = &work.request().options;
        let plain = options.idempotency_key.is_none()
            && options.origin == Origin::default()
            && timers.is_empty()
            && !bodies;
        if plain {
            return None;
        }
        let (key, origin) = (options.idempotency_key.clone(), options.origin.clone());
        let fingerprint = options.fingerprint;
        let keyed = key.map(|key| Keyed {
            key,
            fingerprint: fingerprint.expect("a keyed command was fingerprinted when it was sent"),
            reply: work.reply_json(),
        });
        let command_body = bodies.then(|| work.command_json());
        Some(Box::new(AppendMore { command_body, keyed, origin, timers, encryption_key: None }))
    }
}
