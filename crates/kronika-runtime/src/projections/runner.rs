//! The loop of one projection: read, handle, wait for the head. No polling, no delay.

use super::{
    heads::Heads,
    pace::Pace,
    reading::{Ahead, check_page, read_ahead},
    settings::ProjectionSettings,
    status::{ProjectionError, ProjectionState, ProjectionStatus},
};
use crate::work::panic_message;
use futures_util::{FutureExt, future::select_all};
use kronika_core::{
    Batch, BatchProjection, Checkpoint, EventFilter, HistoryDiverged, Mark, OpenReadModelError,
    PartitionId, PartitionPage, ReadPartition, RecordedEvent, SharedJournal, Takeover, Timestamp,
};
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep, sleep_until},
};

pub(super) struct Runner {
    pub projection: Box<dyn BatchProjection>,
    pub journal: SharedJournal,
    pub settings: ProjectionSettings,
    pub random: fastrand::Rng,
    pub heads: Arc<Heads>,
    pub status: watch::Sender<ProjectionStatus>,
    pub stop: watch::Receiver<bool>,
}

/// Why a projection ends.
pub(super) enum End {
    Stopped,
    Failed(ProjectionError),
}

/// How far a projection has come.
struct Following {
    /// As the store has it.
    stored: Checkpoint,
    /// By partition, at least as far: behind the stored one's mark nothing had to be handled.
    scanned: Vec<Mark>,
    /// By partition, what was read while the batch before it was written.
    read_ahead: Vec<Option<Ahead>>,
    /// The batch before: dropped where it costs the next one no time.
    done: Option<Batch>,
    /// When `scanned` has to be stored.
    due: Option<Instant>,
    types: Vec<String>,
    /// Of waiting for a head that cannot be told.
    pace: Pace,
}

impl Runner {
    pub async fn run(mut self) {
        let end = match AssertUnwindSafe(self.follow()).catch_unwind().await {
            Ok(Err(end)) => end,
            Err(panic) => End::Failed(ProjectionError::Panicked(panic_message(&*panic))),
        };
        let name = self.projection.name();
        self.status.send_modify(|status| match end {
            End::Stopped => status.state = ProjectionState::Stopped,
            End::Failed(error) => {
                tracing::error!(projection = %name, %error, "a projection does not go on");
                status.state = ProjectionState::Failed;
                status.error = Some(error);
            }
        });
    }

    async fn follow(&mut self) -> Result<Infallible, End> {
        let partitions = self.journal.capabilities().partitions;
        let takeover = Takeover::whole(self.journal.incarnation(), partitions);
        let stored = self.open(takeover).await?;
        self.check_history(&stored).await?;
        let scanned: Vec<_> =
            (0..partitions).map(|number| stored.seen.mark(PartitionId::new(number))).collect();
        self.status.send_modify(|status| {
            status.state = ProjectionState::Running;
            status.seen = stored.seen.clone();
            status.events = stored.events;
        });
        let read_ahead = scanned.iter().map(|_| None).collect();
        let (types, pace) = (self.projection.types(), Pace::new(&self.settings));
        let mut following =
            Following { stored, scanned, read_ahead, done: None, due: None, types, pace };
        loop {
            let mut at_heads = true;
            for index in 0..following.scanned.len() {
                at_heads &= self.step(&mut following, index).await?;
            }
            if at_heads {
                self.wait(&mut following).await?;
            }
        }
    }

    /// One page of one partition. Gives whether it reaches the head.
    async fn step(&mut self, following: &mut Following, index: usize) -> Result<bool, End> {
        if *self.stop.borrow() {
            return Err(self.end(following).await);
        }
        let Ahead { page, decoded } = match following.read_ahead[index].take() {
            Some(ahead) => ahead,
            None => {
                let page = self.read(following.page_after(following.scanned[index], self)).await?;
                Ahead { page, decoded: None }
            }
        };
        let PartitionPage { events, scanned, at_head } = page;
        check_page(following.scanned[index], &events, scanned, at_head)?;
        self.heads.see(scanned);
        let unsaved = scanned.position.get() - following.stored_at(index);
        if events.is_empty() && unsaved < self.settings.unsaved_events_max {
            following.scanned[index] = scanned;
            if unsaved > 0 {
                let due = Instant::now().checked_add(self.settings.unsaved_time_max);
                following.due = following.due.or(due);
            }
            self.status.send_if_modified(|status| {
                let before = (status.state, status.seen.mark(scanned.partition));
                status.state = ProjectionState::Running;
                status.seen.see(scanned);
                before != (status.state, scanned)
            });
            return Ok(at_head);
        }
        self.status.send_modify(|status| {
            status.state = ProjectionState::Running;
            status.oldest_waiting = events.first().map(RecordedEvent::time);
        });
        let batch = Batch::new(events, following.stored.clone(), scanned);
        let next = batch.next.clone();
        // Dropping the set ends the task.
        let mut ahead = JoinSet::new();
        if !at_head {
            let (read, decoder) = (following.page_after(scanned, self), self.projection.decoder());
            ahead.spawn(read_ahead(self.journal.clone(), read, decoder, following.done.take()));
        }
        following.done = Some(batch.clone());
        self.write(batch, decoded).await?;
        following.read_ahead[index] = match ahead.join_next().await {
            // Read again if it failed, and then told of.
            Some(read) => read.map_err(|error| End::Failed(panicked(error)))?,
            None => None,
        };
        following.stored = next;
        following.scanned[index] = scanned;
        Ok(at_head)
    }

    /// What is shown once a batch is in the store.
    pub(super) fn written(&self, batch: &Batch, oldest_waiting: Option<Timestamp>) {
        self.status.send_modify(|status| {
            status.state = ProjectionState::Running;
            batch.next.seen.marks().for_each(|mark| status.seen.see(mark));
            status.events = batch.next.events;
            status.oldest_waiting = oldest_waiting;
        });
    }

    /// Until a head is beyond what was scanned, or it is time to store what was.
    async fn wait(&mut self, following: &mut Following) -> Result<(), End> {
        loop {
            let journal = self.journal.clone();
            let beyond = following.scanned.iter();
            let beyond = beyond.map(|mark| journal.wait_beyond(mark.partition, mark.position));
            let due = following.due;
            tokio::select! { biased;
                () = stopped(&mut self.stop) => return Err(self.end(following).await),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.save(following).await?;
                }
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
    async fn save(&mut self, following: &mut Following) -> Result<(), End> {
        following.due = None;
        for index in 0..following.scanned.len() {
            let scanned = following.scanned[index];
            if scanned.position.get() > following.stored_at(index) {
                let batch = Batch::new(Vec::new(), following.stored.clone(), scanned);
                let next = batch.next.clone();
                self.write(batch, None).await?;
                following.stored = next;
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

    async fn open(&mut self, takeover: Takeover) -> Result<Checkpoint, End> {
        let mut pace = Pace::new(&self.settings);
        loop {
            match self.projection.open(takeover).await {
                Ok(checkpoint) => return Ok(checkpoint),
                Err(OpenReadModelError::Store(fault)) if fault.may_pass() => {
                    self.pause(OpenReadModelError::Store(fault).into(), &mut pace).await?;
                }
                Err(error) => return Err(End::Failed(error.into())),
            }
        }
    }

    /// Promise 13: the checkpoint's events must be those that the journal has at its positions.
    async fn check_history(&mut self, stored: &Checkpoint) -> Result<(), End> {
        let (ours, theirs) = (self.journal.incarnation(), stored.seen.incarnation());
        if ours != theirs {
            return Err(End::Failed(HistoryDiverged { ours, theirs }.into()));
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
                return Err(End::Failed(ProjectionError::Diverged(mark)));
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
        self.status.send_modify(|status| {
            status.state = ProjectionState::Retrying;
            status.error = Some(error);
        });
        tokio::select! { biased;
            () = stopped(&mut self.stop) => Err(End::Stopped),
            () = sleep(wait) => Ok(()),
        }
    }
}

impl Following {
    fn stored_at(&self, index: usize) -> u64 {
        self.stored.seen.mark(self.scanned[index].partition).position.get()
    }

    fn page_after(&self, mark: Mark, runner: &Runner) -> ReadPartition {
        let filter = EventFilter { types: self.types.clone(), ..EventFilter::default() };
        let read = ReadPartition::after(mark.partition, mark.position).filter(filter);
        let settings = &runner.settings;
        ReadPartition {
            limit_events: settings.batch_events_max,
            limit_bytes: settings.batch_bytes_max,
            ..read
        }
    }
}

fn panicked(error: JoinError) -> ProjectionError {
    let panic = error.try_into_panic().map(|panic| panic_message(&*panic));
    ProjectionError::Panicked(panic.unwrap_or_else(|error| error.to_string()))
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could stop it is gone, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
