//! What takes effect, and what is refused: the contract of `append` and `claim`, and the faults.

use super::{
    settings::{Fault, PlantedFault},
    state::{Entry, Flying, Group, Late, State},
    store::{Recording, Writer},
};
use kronika_core::{
    Append, AppendError, AppendId, Appended, ClaimError, Committed, Epoch, Lease, Loading,
    NewEvent, Ownership, SliceRange, StreamId, check_limits,
};
use std::time::Duration;
use tokio::time::Instant;

/// A late effect that was set on its way: its number, and how much later.
pub(super) type Delayed = Vec<(u64, Duration)>;

impl State {
    /// Lets everything up to a number take effect, and gives the late effects that it set on their way.
    pub fn take_effect(&mut self, up_to: u64) -> Delayed {
        let mut delayed = Vec::new();
        while self.queue.front().is_some_and(|(number, _)| *number <= up_to) {
            match self.queue.pop_front() {
                Some((_, Entry::Group(group))) => self.group(group, &mut delayed),
                Some((_, Entry::Claim(claim))) => {
                    let claimed = self.claim(claim.slices, claim.held);
                    let _ = claim.answer.send(claimed); // the caller may have gone
                }
                None => unreachable!("the queue has a front"),
            }
        }
        delayed
    }

    fn group(&mut self, group: Group, delayed: &mut Delayed) {
        let Group { process, appends, answer } = group;
        self.durable = self.store.recorded.len();
        if self.is_planted(PlantedFault::ChainRuleOnlyInGroup) {
            self.chains.remove(&process);
        }
        let write_fails = appends.iter().any(|flying| flying.fault == Some(Fault::FailedWrite));
        let mut results: Vec<Appended> = Vec::with_capacity(appends.len());
        for flying in appends {
            let neighbour_failed = results.iter().any(Result::is_err);
            let result = if self.is_planted(PlantedFault::FailsNeighbours) && neighbour_failed {
                Err(AppendError::Predecessor)
            } else if let Some(why) = &self.failed {
                Err(Self::failed_error(why))
            } else if write_fails {
                self.admit(&flying, process).and_then(|()| {
                    self.doubtful.push(flying.append.clone());
                    Err(AppendError::UnknownOutcome)
                })
            } else {
                self.one(&flying, process, delayed)
            };
            if result.is_err() {
                let Append { stream, loading, .. } = &flying.append;
                self.chains.entry(process).or_default().broke(stream, *loading);
            }
            self.sent[flying.line].told = Some((self.moments.now(), result.clone()));
            results.push(result);
        }
        if write_fails && self.failed.is_none() {
            self.failed = Some("injected: a write failed".into());
        }
        let delay = self.within(self.settings.plan.answer_within);
        let _ = answer.send((results, delay)); // the caller may have gone
    }

    fn one(&mut self, flying: &Flying, process: u32, delayed: &mut Delayed) -> Appended {
        self.admit(flying, process)?;
        match flying.fault {
            Some(Fault::Conflict) => {
                self.stranger_writes_before(&flying.append);
                self.admit(flying, process)?;
            }
            Some(Fault::Fenced) => {
                self.stranger_claims(SliceRange::ALL);
                self.admit(flying, process)?;
            }
            Some(Fault::Unavailable) => {
                return Err(AppendError::Unavailable(Self::unavailable()));
            }
            Some(Fault::UnknownBefore) => return Err(AppendError::UnknownOutcome),
            Some(Fault::UnknownLater(later)) => {
                let number = self.next_number();
                self.late.push(Late { number, append: flying.append.clone() });
                delayed.push((number, later));
                return Err(AppendError::UnknownOutcome);
            }
            Some(Fault::UnknownAfter) => {
                self.record(flying.append.clone(), Writer::Caller);
                return Err(AppendError::UnknownOutcome);
            }
            Some(Fault::FailedWrite) | None => {}
        }
        Ok(self.record(flying.append.clone(), Writer::Caller))
    }

    /// Whether the contract lets an append in: limits, epoch, chain, version.
    fn admit(&mut self, flying: &Flying, process: u32) -> Result<(), AppendError> {
        let append = &flying.append;
        if let Err(too_large) = check_limits(append) {
            if self.is_planted(PlantedFault::HalfAppend) {
                let events = append.events.iter().take(1).cloned().collect();
                self.record(Append { events, ..append.clone() }, Writer::Caller);
            }
            return Err(too_large);
        }
        let unchecked = self.is_planted(PlantedFault::EpochNotChecked)
            || self.is_planted(PlantedFault::RecordedAfterClaim) && flying.epoch_held_at_call;
        let now = self.store.epoch(&append.stream);
        if append.epoch < now && !unchecked {
            return Err(AppendError::Fenced { held: append.epoch, now });
        }
        let chains = self.chains.entry(process).or_default();
        let admitted = chains.admits(&append.stream, append.loading);
        if !admitted && !self.is_planted(PlantedFault::ChainRuleLeftOut) {
            return Err(AppendError::Predecessor);
        }
        let found = self.store.version(&append.stream);
        if append.expected != found && !self.is_planted(PlantedFault::VersionNotChecked) {
            let (stream, expected) = (append.stream.clone(), append.expected);
            return Err(AppendError::Conflict { stream, expected, found });
        }
        Ok(())
    }

    /// Records what is let in of what a crash overtook; nobody is told.
    pub fn admit_or_break(&mut self, flying: Flying, process: u32) {
        let admitted = self.admit(&flying, process);
        let append = flying.append;
        match admitted {
            Ok(()) => drop(self.record(append, Writer::Caller)),
            Err(_) => {
                self.chains.entry(process).or_default().broke(&append.stream, append.loading);
            }
        }
    }

    fn record(&mut self, append: Append, by: Writer) -> Committed {
        let third = (self.store.recorded.len() + 1).is_multiple_of(3);
        let mut time = self.clock().max(self.store.time());
        if self.is_planted(PlantedFault::TimeGoesBack) && third {
            time = kronika_core::Timestamp::new(time.get() - 1_000_000);
        }
        let recording = Recording {
            time,
            at: self.moments.now(),
            by,
            drops_details: self.is_planted(PlantedFault::DropsDetails),
            leaves_hole: self.is_planted(PlantedFault::HoleInPositions) && third,
        };
        self.store.record(append, recording)
    }

    /// Records what its sender was told is unknown, if that is still possible. The chain rule does not stand
    /// against it: it was let in when it was sent.
    pub fn record_late(&mut self, append: Append) {
        let after_claim = self.is_planted(PlantedFault::RecordedAfterClaim);
        let epoch_holds = append.epoch >= self.store.epoch(&append.stream) || after_claim;
        let version_holds = append.expected == self.store.version(&append.stream);
        if epoch_holds && version_holds && !self.store.has(append.id) && self.failed.is_none() {
            self.record(append, Writer::Caller);
        }
    }

    pub fn claim(
        &mut self,
        slices: SliceRange,
        held: Option<Epoch>,
    ) -> Result<Ownership, ClaimError> {
        if let Some(why) = &self.failed {
            return Err(ClaimError::Failed(why.clone()));
        }
        let (first, last) = (usize::from(slices.first()), usize::from(slices.last()));
        let now = Instant::now();
        match held {
            Some(held) if !self.is_planted(PlantedFault::ClaimNotChecked) => {
                let other = self.store.epochs[first..=last].iter().find(|epoch| **epoch != held);
                if let Some(other) = other {
                    return Err(ClaimError::Fenced { held, now: *other });
                }
            }
            Some(_) => {}
            None => {
                let mut leases = self.leased_until[first..=last].iter();
                if leases.any(|until| until.is_some_and(|until| now < until)) {
                    return Err(ClaimError::Leased);
                }
            }
        }
        let epoch = self.raise(slices);
        let until = self.settings.lease.map(|lease| now + lease);
        self.leased_until[first..=last].fill(until);
        let lease = until.map_or(Lease::Exclusive, |until| Lease::Until(until.into_std()));
        Ok(Ownership { epoch, lease })
    }

    fn raise(&mut self, slices: SliceRange) -> Epoch {
        let epochs =
            &mut self.store.epochs[usize::from(slices.first())..=usize::from(slices.last())];
        let newest = epochs.iter().max().copied().unwrap_or_default().next();
        epochs.fill(newest);
        newest
    }

    pub fn stranger_claims(&mut self, slices: SliceRange) -> Epoch {
        self.raise(slices)
    }

    fn stranger_writes_before(&mut self, append: &Append) {
        let events = match &self.stranger {
            Some(events) => events(&append.stream),
            None => append.events.iter().take(1).cloned().collect(),
        };
        let events = events.into_iter().map(|event| NewEvent { id: None, ..event }).collect();
        self.stranger_writes(&append.stream, events);
    }

    /// Records events as somebody else who writes at the present epoch.
    pub fn stranger_writes(&mut self, stream: &StreamId, events: Vec<NewEvent>) -> AppendId {
        let id = self.new_id();
        let append = Append {
            id,
            stream: stream.clone(),
            expected: self.store.version(stream),
            epoch: self.store.epoch(stream),
            loading: Loading::default(),
            events,
            command: "stranger".into(),
            more: None,
        };
        self.record(append, Writer::Stranger);
        id
    }
}
