//! The loop of one read model: read, handle, wait for the head. No polling, no delay.
//!
//! `beginning.rs` takes it over, `write.rs` brings a batch into the store, `draining.rs` handles what was parked,
//! `switching.rs` makes the read model the live one.

use super::{
    board::Board,
    feed::{Feed, FeedPage},
    heads::Heads,
    orders::{Meter, Orders, Throttle},
    pace::Pace,
    reading::{Ahead, check_page, read_ahead},
    settings::ProjectionSettings,
    status::{ProjectionError, ProjectionState},
};
use crate::{environment::Environment, work::panic_message};
use futures_util::{FutureExt, future::select_all};
use kronika_core::{
    Batch, BatchProjection, Checkpoint, Effort, KeyText, Mark, Order, ParkedRequest, RecordedEvent,
    SharedJournal, SharedReadModelStore, Wanted,
};
use std::{collections::BTreeMap, convert::Infallible, panic::AssertUnwindSafe, sync::Arc};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep, sleep_until},
};

pub(super) struct Runner {
    pub projection: Box<dyn BatchProjection>,
    pub store: SharedReadModelStore,
    pub board: Board,
    pub journal: SharedJournal,
    pub feed: Arc<Feed>,
    pub settings: ProjectionSettings,
    pub environment: Environment,
    pub random: fastrand::Rng,
    pub heads: Arc<Heads>,
    pub orders: watch::Receiver<Orders>,
    /// What waits, and when it is tried again by itself. Kept when the read model is opened anew.
    pub parked: BTreeMap<KeyText, Parked>,
}

/// Why a projection ends.
pub(super) enum End {
    Stopped,
    Failed(ProjectionError),
    /// It is to be opened again: a commit may have taken place, though the store could not tell.
    Reopen,
}

impl<E: Into<ProjectionError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// How far a projection has come.
pub(super) struct Following {
    /// As the store has it.
    pub stored: Checkpoint,
    /// By partition, at least as far: behind the stored one's mark nothing had to be handled.
    pub scanned: Vec<Mark>,
    /// Up to which act parked keys were looked at.
    pub acts: u64,
    /// By partition, what was read while the batch before it was written.
    pub read_ahead: Vec<Option<Ahead>>,
    /// The batch before: dropped where it costs the next one no time.
    pub done: Option<Batch>,
    /// When `scanned` has to be stored.
    pub due: Option<Instant>,
    pub types: Vec<String>,
    pub throttle: Throttle,
    pub meter: Meter,
    /// Of waiting for a head that cannot be told.
    pub pace: Pace,
}

/// A parked key as its runner knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parked {
    /// Tries by itself since the start.
    pub retries: u32,
    /// When it is tried next.
    pub due: Option<Instant>,
    /// What somebody asked to be done with it.
    pub asked: Option<ParkedRequest>,
    /// Its letters could be handled so far: more of them go at once.
    pub goes: bool,
}

impl Runner {
    pub async fn run(mut self) {
        let end = loop {
            match AssertUnwindSafe(self.follow()).catch_unwind().await {
                Ok(Err(End::Reopen)) => {}
                Ok(Err(end)) => break end,
                Err(panic) => {
                    break End::Failed(ProjectionError::Panicked(panic_message(&*panic)));
                }
            }
        };
        let name = self.projection.name();
        self.board.modify(|status| match end {
            End::Failed(error) => {
                tracing::error!(projection = %name, %error, "a projection does not go on");
                status.state = ProjectionState::Failed;
                status.error = Some(error);
            }
            End::Stopped | End::Reopen => status.state = ProjectionState::Stopped,
        });
        // One that was told to end may have to begin anew.
        self.board.named.wake.notify_one();
    }

    async fn follow(&mut self) -> Result<Infallible, End> {
        let mut following = self.begin().await?;
        loop {
            self.obey(&mut following).await?;
            if self.step_all(&mut following).await? {
                if self.wanted().switch && !self.board.is_live() {
                    self.switch(&mut following).await?;
                }
                self.wait(&mut following).await?;
            }
        }
    }

    /// Does what was ordered meanwhile: stop, pause, keep a rate, handle parked keys.
    async fn obey(&mut self, following: &mut Following) -> Result<(), End> {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            if orders.stop {
                return Err(self.end(following).await);
            }
            if !orders.wanted.paused {
                if orders.acts != following.acts {
                    following.acts = orders.acts;
                    self.look_asked().await?;
                }
                self.drain_due(following).await?;
            }
            let until = following.throttle.until(&orders.wanted);
            if !orders.wanted.paused && until.is_none() {
                return Ok(());
            }
            if orders.wanted.paused {
                self.save(following).await?;
                following.meter.rest();
                self.board.modify(|status| {
                    status.state = ProjectionState::Paused;
                    status.events_per_second = 0.0;
                });
            }
            tokio::select! { biased;
                changed = self.orders.changed() => if changed.is_err() {
                    return Err(self.end(following).await);
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() && !orders.wanted.paused => {}
            }
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.orders.borrow().wanted.clone()
    }

    /// One page of each partition. Gives whether all are at their heads.
    pub(super) async fn step_all(&mut self, following: &mut Following) -> Result<bool, End> {
        let mut at_heads = true;
        for index in 0..following.scanned.len() {
            at_heads &= self.step(following, index).await?;
        }
        Ok(at_heads)
    }

    /// One page of one partition. Gives whether it reaches the head.
    async fn step(&mut self, following: &mut Following, index: usize) -> Result<bool, End> {
        let wanted = self.wanted();
        let events_max = self.events_max(&wanted);
        let Ahead { page, decoded } = match following.read_ahead[index].take() {
            Some(ahead) if ahead.page.events.len() <= events_max => ahead,
            _ => {
                let after = following.scanned[index];
                let page = self.read(after, &following.types, events_max).await?;
                Ahead { page, decoded: None }
            }
        };
        let FeedPage { events, scanned, at_head } = page;
        check_page(following.scanned[index], &events, scanned, at_head)?;
        self.heads.see(scanned);
        let unsaved = scanned.position.get() - following.stored_at(index);
        if events.is_empty() && unsaved < self.settings.unsaved_events_max {
            following.scanned[index] = scanned;
            if unsaved > 0 {
                let due = Instant::now().checked_add(self.settings.unsaved_time_max);
                following.due = following.due.or(due);
            }
            self.board.modify(|status| {
                status.state = ProjectionState::Running;
                status.seen.see(scanned);
            });
            return Ok(at_head);
        }
        self.board.modify(|status| {
            status.state = ProjectionState::Running;
            status.oldest_waiting = events.first().map(RecordedEvent::time);
        });
        let count = events.len();
        let batch = Batch::new(events, following.stored.clone(), scanned);
        let batch = self.without_parked(self.prepared(batch));
        let decoded = decoded.filter(|_| batch.parked.is_empty());
        // Dropping the set ends the task.
        let mut ahead = JoinSet::new();
        if !at_head {
            let (feed, types) = (self.feed.clone(), following.types.clone());
            let (decoder, effort) = (self.projection.decoder(), self.effort(&wanted));
            let done = following.done.take();
            ahead.spawn(async move {
                drop(done);
                read_ahead(&feed, scanned, &types, events_max, decoder, effort).await
            });
        }
        following.done = Some(batch.clone());
        self.write(following, batch, decoded).await?;
        following.throttle.spend(&wanted, count);
        following.read_ahead[index] = match ahead.join_next().await {
            // Read again if it failed, and then told of.
            Some(read) => read.map_err(|error| End::Failed(panicked(error)))?,
            None => None,
        };
        following.scanned[index] = scanned;
        Ok(at_head)
    }

    /// The batch without the events of streams that are parked by now, which become letters.
    pub(super) fn without_parked(&self, batch: Batch) -> Batch {
        if self.projection.spec().order != Order::Stream || self.parked.is_empty() {
            return batch;
        }
        let key_of = |event: &RecordedEvent| {
            let key = KeyText::of_stream(event.stream());
            self.parked.contains_key(&key).then_some(key)
        };
        batch.hold(key_of)
    }

    /// A batch with what does not depend on its events.
    pub(super) fn prepared(&self, mut batch: Batch) -> Batch {
        batch.effort = self.effort(&self.wanted());
        batch.tells_keys = self.board.is_live() && self.board.named.changes.is_heard();
        batch.at = self.environment.now();
        batch
    }

    fn effort(&self, wanted: &Wanted) -> Effort {
        Effort { workers: wanted.workers, event_time_max: self.settings.event_time_max }
    }

    fn events_max(&self, wanted: &Wanted) -> usize {
        let most = self.settings.batch_events_max;
        let most = self.projection.batch_events_max().map_or(most, |max| max.min(most));
        Throttle::events_max(wanted, most)
    }

    /// Until a head is beyond what was scanned, or something is to be done before.
    async fn wait(&mut self, following: &mut Following) -> Result<(), End> {
        following.meter.rest();
        self.board.modify(|status| status.events_per_second = 0.0);
        loop {
            let journal = self.journal.clone();
            let beyond = following.scanned.iter();
            let beyond = beyond.map(|mark| journal.wait_beyond(mark.partition, mark.position));
            let due = following.due;
            let retry = self.parked.values().filter_map(|parked| parked.due).min();
            tokio::select! { biased;
                changed = self.orders.changed() => return match changed {
                    Ok(()) => Ok(()),
                    Err(_) => Err(self.end(following).await),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.save(following).await?;
                }
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => return Ok(()),
                (head, ..) = select_all(beyond) => match head {
                    Ok(head) => {
                        self.heads.see(head);
                        following.pace = Pace::new(&self.settings);
                        return Ok(());
                    }
                    // The next page tells whether the journal is back.
                    Err(error) => return self.pause_reading(error, &mut following.pace).await,
                },
            }
        }
    }

    /// Stores what was scanned and had nothing to handle.
    pub(super) async fn save(&mut self, following: &mut Following) -> Result<(), End> {
        following.due = None;
        for index in 0..following.scanned.len() {
            let scanned = following.scanned[index];
            if scanned.position.get() > following.stored_at(index) {
                let batch = Batch::new(Vec::new(), following.stored.clone(), scanned);
                let batch = self.prepared(batch);
                self.write(following, batch, None).await?;
            }
        }
        Ok(())
    }

    /// Told to stop: what was scanned is stored, if that goes at once.
    async fn end(&mut self, following: &mut Following) -> End {
        match self.save(following).await {
            Ok(()) => End::Stopped,
            Err(end) => end,
        }
    }

    /// Says what went wrong and waits before the next try, or until it is told to stop.
    pub(super) async fn pause(
        &mut self,
        error: ProjectionError,
        pace: &mut Pace,
    ) -> Result<(), End> {
        let wait = pace.next(&mut self.random);
        tracing::warn!(projection = %self.projection.name(), %error, ?wait, "a projection tries again");
        self.board.modify(|status| {
            status.state = ProjectionState::Retrying;
            status.error = Some(error);
        });
        let mut orders = self.orders.clone();
        tokio::select! { biased;
            // An error means that whoever could stop it is gone, which is a stop too.
            _ = orders.wait_for(|orders| orders.stop) => Err(End::Stopped),
            () = sleep(wait) => Ok(()),
        }
    }
}

impl Following {
    fn stored_at(&self, index: usize) -> u64 {
        self.stored.seen.mark(self.scanned[index].partition).position.get()
    }
}

fn panicked(error: JoinError) -> ProjectionError {
    let panic = error.try_into_panic().map(|panic| panic_message(&*panic));
    ProjectionError::Panicked(panic.unwrap_or_else(|error| error.to_string()))
}
