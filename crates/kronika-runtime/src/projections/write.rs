//! Bringing a batch into the store: the store's own errors are tried again in place; an event's failure is
//! narrowed down to the event, with everything before it committed, and its stream parked where the order is
//! by stream.

use super::{
    changes::RowsChanged,
    pace::Pace,
    runner::{End, Following, Parked, Runner},
    status::{ProjectionError, ProjectionState},
};
use kronika_core::{
    Batch, BatchError, Checkpoint, CommitError, Decoded, EventFailure, KeyText, Order,
    ParkedChange, RecordedEvent, Timestamp, Written,
};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// Keys that listeners are told of one batch; where there are more, that all may have changed.
const KEYS_TOLD_MAX: usize = 256;

impl Runner {
    /// Writes all of a batch, of which `decoded` was made.
    pub(super) async fn write(
        &mut self,
        following: &mut Following,
        batch: Batch,
        mut decoded: Option<Decoded>,
    ) -> Result<(), End> {
        let mut waiting = vec![batch];
        let parked_before = self.parked.len();
        while let Some(mut batch) = waiting.pop() {
            // A part before this one may have parked a stream that has events in this one too.
            if self.parked.len() > parked_before {
                batch = self.without_parked(batch);
            }
            let count = batch.events().len();
            let error = match self.write_until_taken(&batch, decoded.take()).await? {
                Ok(written) => {
                    let next = waiting.last().and_then(|batch| batch.events().first());
                    self.written(following, &batch, written, next.map(RecordedEvent::time))?;
                    continue;
                }
                Err(error) => error,
            };
            let failed = match error {
                BatchError::Event(failed) => failed,
                BatchError::Handler(_) if count > 1 => {
                    let (head, tail) = batch.split(count / 2);
                    waiting.extend([tail, head]);
                    continue;
                }
                BatchError::Handler(cause) => {
                    let event = batch.events().first().expect("a handler is given events");
                    Box::new(EventFailure::of(event, cause))
                }
                BatchError::Stuck { failure, time_max } => {
                    return Err(ProjectionError::Stuck { failure, time_max }.into());
                }
                BatchError::Commit(error) => return Err(error.into()),
                other => return Err(ProjectionError::Panicked(other.to_string()).into()),
            };
            match batch.events().iter().position(|event| event.position == failed.position) {
                Some(0) if self.projection.spec().order == Order::Stream => {
                    waiting.push(park_stream(batch, &failed));
                }
                None | Some(0) => {
                    let time = Some(failed_time(&batch, &failed));
                    self.board.modify(|status| status.oldest_waiting = time.flatten());
                    return Err(failed.into());
                }
                Some(before) => {
                    let (head, tail) = batch.split(before);
                    waiting.extend([tail, head]);
                }
            }
        }
        Ok(())
    }

    /// Writes a batch, again and again while the store is away. The inner error is the batch's.
    pub(super) async fn write_until_taken(
        &mut self,
        batch: &Batch,
        mut decoded: Option<Decoded>,
    ) -> Result<Result<Written, BatchError>, End> {
        let mut pace = Pace::new(&self.settings);
        let stays = batch.expected.seen == batch.next.seen;
        let mut again = false;
        loop {
            let Some(written) = self.write_once(batch, decoded.take()).await else {
                self.write_handled(batch).await;
                return Err(End::Stopped);
            };
            match written {
                // An earlier try has taken place, though the store could not tell: what it has parked is asked.
                Err(BatchError::Commit(CommitError::Stale { found, .. }))
                    if again && is_the_same(&found, &batch.next) =>
                {
                    return Err(End::Reopen);
                }
                Err(BatchError::Commit(CommitError::Store(fault))) if fault.may_pass() => {
                    again = true;
                    self.pause(CommitError::Store(fault).into(), &mut pace).await?;
                    if stays {
                        // Nothing tells whether it has taken place but the store itself.
                        return Err(End::Reopen);
                    }
                }
                result => return Ok(result),
            }
        }
    }

    /// The live read model is written under the gate that another one takes to become live in its place. `None` if
    /// the service stops and the write was cut short.
    async fn write_once(
        &mut self,
        batch: &Batch,
        decoded: Option<Decoded>,
    ) -> Option<Result<Written, BatchError>> {
        let named = self.board.named.clone();
        let _gate = match self.board.is_live() {
            true => Some(named.gate.lock().await),
            false => None,
        };
        let may_be_cut = self.projection.handled_when_cut(batch).is_some();
        let (mut orders, time_max) = (self.orders.clone(), self.settings.effects.stop_time_max);
        let stopped = async move {
            // An error means that whoever could stop it is gone, which is a stop too.
            let _ = orders.wait_for(|orders| orders.stop).await;
            sleep(time_max).await;
        };
        let write = self.projection.write(batch.clone(), decoded);
        tokio::select! { biased;
            written = write => Some(written),
            () = stopped, if may_be_cut => None,
        }
    }

    /// Writes what was handled of a batch whose write was cut short. It is tried once: what is not written is
    /// handled again after the next start.
    async fn write_handled(&mut self, batch: &Batch) {
        let (handled, all) = (self.projection.handled_when_cut(batch), batch.events().len());
        let handled = match handled.unwrap_or(0) {
            0 => return,
            count if count < all => batch.split(count).0,
            _ => batch.clone(),
        };
        match self.projection.write(handled.clone(), None).await {
            Ok(_) => self.board.modify(|status| {
                handled.next.seen.marks().for_each(|mark| status.seen.see(mark));
                status.events = handled.next.events;
            }),
            Err(error) => {
                let name = self.projection.name();
                tracing::warn!(projection = %name, %error, "what was handled before the stop comes again");
            }
        }
    }

    /// What is noted and shown once a batch is in the store.
    pub(super) fn written(
        &mut self,
        following: &mut Following,
        batch: &Batch,
        written: Written,
        oldest_waiting: Option<Timestamp>,
    ) -> Result<(), End> {
        following.stored = batch.next.clone();
        let handled = batch.next.events - batch.expected.events;
        let rate = following.meter.count(handled);
        let changes = || batch.parked.iter().chain(&written.parked);
        for change in changes() {
            self.note(change);
        }
        self.board.modify(|status| {
            if batch.only.is_none() {
                if status.state != ProjectionState::Starting {
                    status.state = ProjectionState::Running;
                }
                status.oldest_waiting = oldest_waiting;
            }
            batch.next.seen.marks().for_each(|mark| status.seen.see(mark));
            status.events = batch.next.events;
            status.events_per_second = rate;
            if changes().next().is_some() {
                status.parked = Arc::new(self.parked.keys().cloned().collect());
            }
            if let Some(failure) = changes().filter_map(failure_of).next_back() {
                status.error = Some(Box::new(failure).into());
            }
        });
        let parks = changes().any(|change| matches!(change, ParkedChange::Park { .. }));
        let (parked, max) = (self.parked.len(), self.settings.parked_keys_max);
        if parks && parked > max {
            return Err(ProjectionError::TooManyParked { parked, max }.into());
        }
        let changes = &self.board.named.changes;
        if !batch.events().is_empty() && self.board.is_live() && changes.is_heard() {
            // Somebody may have begun to listen since the batch was made.
            let keys = written.keys.filter(|keys| batch.tells_keys && keys.len() <= KEYS_TOLD_MAX);
            let keys = keys.map(Arc::new);
            changes.tell(RowsChanged { keys, seen: batch.next.seen.clone() });
        }
        Ok(())
    }

    fn note(&mut self, change: &ParkedChange) {
        match change {
            ParkedChange::Park { key, cause, letter, .. } => {
                let name = self.projection.name();
                tracing::warn!(
                    projection = %name, %key, %cause, event = %letter.event, position = %letter.position,
                    "a key is parked: its events wait, the others go on"
                );
                let due = self.next_try(0);
                self.parked.insert(key.clone(), Parked { due, ..Parked::default() });
            }
            ParkedChange::Lift { key } => {
                self.parked.remove(key);
            }
            _ => {}
        }
    }

    /// When a key is tried again by itself, after so many tries.
    pub(super) fn next_try(&self, retries: u32) -> Option<Instant> {
        if retries >= self.settings.parked_retries_max {
            return None;
        }
        let wait = self.settings.parked_retry_after.checked_mul(4_u32.checked_pow(retries)?)?;
        Instant::now().checked_add(wait)
    }
}

/// The time apart: over several partitions, stores know the newest of all.
fn is_the_same(one: &Checkpoint, other: &Checkpoint) -> bool {
    (&one.seen, one.epoch, one.events) == (&other.seen, other.epoch, other.events)
}

/// Without the stream of its first event, which is parked.
fn park_stream(batch: Batch, failed: &EventFailure) -> Batch {
    let key = KeyText::of_stream(&failed.stream);
    let at = batch.at;
    let key_of = |event: &RecordedEvent| (*event.stream() == failed.stream).then(|| key.clone());
    let mut batch = batch.hold(key_of);
    for change in &mut batch.parked {
        match change {
            ParkedChange::Hold { key: held, letter }
                if *held == key && letter.position == failed.position =>
            {
                let (key, cause, letter) = (key.clone(), failed.cause.clone(), letter.clone());
                *change = ParkedChange::Park { key, cause, letter, at };
            }
            _ => {}
        }
    }
    batch
}

/// What a key was parked for.
fn failure_of(change: &ParkedChange) -> Option<EventFailure> {
    let ParkedChange::Park { key, cause, letter, .. } = change else { return None };
    Some(EventFailure {
        event: letter.event.clone(),
        partition: letter.partition,
        position: letter.position,
        stream: letter.stream.clone(),
        version: letter.version,
        key: Some(key.to_string()),
        cause: cause.clone(),
    })
}

fn failed_time(batch: &Batch, failed: &EventFailure) -> Option<Timestamp> {
    let event = batch.events().iter().find(|event| event.position == failed.position);
    event.map(RecordedEvent::time)
}
