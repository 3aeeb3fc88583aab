//! The loop of one read model: read, handle, wait for the head. No polling, no delay.
//!
//! `write.rs` brings a batch into the store, `draining.rs` handles what was parked, `switching.rs` makes the read
//! model the live one.

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
    Batch, BatchProjection, Checkpoint, Effort, HistoryDiverged, KeyText, Mark, OpenReadModelError,
    Opened, Order, ParkedKey, PartitionId, RecordedEvent, SharedJournal, SharedReadModelStore,
    Takeover, Wanted,
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
    /// What waits, and when it is tried again by itself.
    pub parked: BTreeMap<KeyText, Parked>,
    /// Up to which act parked keys were looked at.
    pub acts: u64,
    /// By partition, what was read while the batch before it was written.
    read_ahead: Vec<Option<Ahead>>,
    /// The batch before: dropped where it costs the next one no time.
    done: Option<Batch>,
    /// When `scanned` has to be stored.
    due: Option<Instant>,
    types: Vec<String>,
    throttle: Throttle,
    pub meter: Meter,
    /// Of waiting for a head that cannot be told.
    pace: Pace,
}

/// A parked key as its runner knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parked {
    /// Tries by itself since the start.
    pub retries: u32,
    /// When it is tried next.
    pub due: Option<Instant>,
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

    /// Takes the read model over and looks whether it is of this journal's history.
    async fn begin(&mut self) -> Result<Following, End> {
        let partitions = self.journal.capabilities().partitions;
        let takeover = Takeover::whole(self.journal.incarnation(), partitions);
        let Opened { checkpoint: stored, parked } = self.open(takeover).await?;
        self.check_history(&stored).await?;
        let scanned: Vec<_> =
            (0..partitions).map(|number| stored.seen.mark(PartitionId::new(number))).collect();
        let begins = self.projection.begins_at_head() && stored.time.is_none();
        self.board.modify(|status| {
            if !begins {
                status.state = ProjectionState::Running;
            }
            status.seen = stored.seen.clone();
            status.events = stored.events;
            status.parked = parked.iter().map(|parked| parked.key.clone()).collect();
        });
        let acts = self.orders.borrow().acts;
        let is_asked = parked.iter().any(|parked| parked.asked.is_some());
        let again = |parked: ParkedKey| {
            // This build may be able to handle it.
            (parked.key, Parked { retries: 0, due: Some(Instant::now()) })
        };
        let mut following = Following {
            read_ahead: scanned.iter().map(|_| None).collect(),
            scanned,
            parked: parked.into_iter().map(again).collect(),
            acts,
            done: None,
            due: None,
            types: self.projection.spec().types.clone(),
            throttle: Throttle::default(),
            meter: Meter::default(),
            pace: Pace::new(&self.settings),
            stored,
        };
        if is_asked {
            self.drain_asked(&mut following).await?;
        }
        if begins {
            self.begin_at_head(&mut following).await?;
        }
        Ok(following)
    }

    /// Does what was ordered meanwhile: stop, pause, keep a rate, handle parked keys.
    async fn obey(&mut self, following: &mut Following) -> Result<(), End> {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            if orders.stop {
                return Err(self.end(following).await);
            }
            if orders.acts != following.acts {
                following.acts = orders.acts;
                self.drain_asked(following).await?;
            }
            self.drain_due(following).await?;
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
        let (batch, decoded) = self.batch(following, events, scanned, decoded, &wanted);
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

    /// The events with all that is to be known of them; those of parked streams are left out.
    fn batch(
        &self,
        following: &Following,
        events: Arc<Vec<RecordedEvent>>,
        scanned: Mark,
        decoded: Option<kronika_core::Decoded>,
        wanted: &Wanted,
    ) -> (Batch, Option<kronika_core::Decoded>) {
        let mut batch = self.prepared(Batch::new(events, following.stored.clone(), scanned));
        batch.effort = self.effort(wanted);
        if self.projection.spec().order != Order::Stream || following.parked.is_empty() {
            return (batch, decoded);
        }
        let key_of = |event: &RecordedEvent| {
            let key = KeyText::of_stream(event.stream());
            following.parked.contains_key(&key).then_some(key)
        };
        let batch = batch.hold(key_of);
        let decoded = decoded.filter(|_| batch.parked.is_empty());
        (batch, decoded)
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
            let retry = following.parked.values().filter_map(|parked| parked.due).min();
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

    async fn open(&mut self, takeover: Takeover) -> Result<Opened, End> {
        let mut pace = Pace::new(&self.settings);
        let run = self.board.id().run;
        loop {
            match self.projection.open(run, takeover).await {
                Ok(opened) => return Ok(opened),
                Err(OpenReadModelError::Store(fault)) if fault.may_pass() => {
                    self.pause(OpenReadModelError::Store(fault).into(), &mut pace).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Promise 13: the checkpoint's events must be those that the journal has at its positions.
    async fn check_history(&mut self, stored: &Checkpoint) -> Result<(), End> {
        let (ours, theirs) = (self.journal.incarnation(), stored.seen.incarnation());
        if ours != theirs {
            return Err(HistoryDiverged { ours, theirs }.into());
        }
        for mark in stored.seen.marks() {
            let mut pace = Pace::new(&self.settings);
            let found = loop {
                match self.journal.mark_at(mark.partition, mark.position).await {
                    Ok(found) => break found,
                    Err(error) => self.pause_reading(error, &mut pace).await?,
                }
            };
            if found != Some(mark) {
                return Err(ProjectionError::Diverged(mark).into());
            }
        }
        Ok(())
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
