//! Replaying a projection into a scratch store, up to a position or a time: for debugging, beside what runs.
//!
//! Step by step, each event is handled in a batch of its own, and what it changed is told. Nothing of the
//! service's own read models is touched.

use super::{Projections, reading::check_page, runner::End, status::ProjectionError};
use kronika_core::{
    Act, ActError, ActRecord, Batch, BatchError, BatchProjection, By, Checkpoint, Column, Commit,
    CommitError, Effort, EventFilter, KeyText, Letter, LiveHistory, Mark, OpenReadModelError,
    Opened, ParkedChange, ParkedKey, PartitionId, Position, ReadModel, ReadModelId, ReadModelSpec,
    ReadModelStore, ReadPartition, RecordedEvent, Report, SharedJournal, SharedReadModelStore,
    StoreFault, SwitchError, Tables, Takeover, Timestamp, Value,
};
use std::{
    mem,
    sync::{Arc, Mutex},
};
use tokio::sync::mpsc;

/// What is to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The projection: its newest registered handler.
    pub projection: String,
    /// Where it ends.
    pub until: ReplayUntil,
    /// From which position on it goes step by step; what comes before is handled in large batches.
    pub steps_from: Option<Position>,
}

/// Where a replay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayUntil {
    /// With the event at this position, in each partition.
    Position(Position),
    /// Before the first event that was recorded later.
    Time(Timestamp),
    /// With what is recorded now.
    Head,
}

/// One event of a replay, with what it changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReplayStep {
    /// The event.
    pub event: RecordedEvent,
    /// Rows that were not the same afterwards.
    pub rows: Vec<ChangedRow>,
    /// What it parked, or what it waits for.
    pub parked: Vec<ParkedChange>,
}

/// What a replay tells on its way.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ReplayTold {
    /// It begins: these are the columns of its rows.
    Begun {
        /// Those of the key.
        key: Vec<Column>,
        /// The others.
        row: Vec<Column>,
    },
    /// One event was handled by itself.
    Step(Box<ReplayStep>),
    /// A large batch was handled, up to a position of a partition; it goes to the other one there.
    Progress {
        /// Events handled so far.
        events: u64,
        /// How far it is.
        at: Mark,
        /// How far it goes in that partition.
        last: Position,
    },
}

/// A row before and after an event.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedRow {
    /// The values of its key.
    pub key: Vec<Value>,
    /// Its other values; `None` where it was not there.
    pub before: Option<Vec<Value>>,
    /// The same afterwards; `None` where it was deleted.
    pub after: Option<Vec<Value>>,
}

/// How a replay went.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Replayed {
    /// What is in the scratch store.
    pub read_model: ReadModelId,
    /// Events that were handled.
    pub events: u64,
    /// What it has seen.
    pub checkpoint: Checkpoint,
}

/// Why a replay ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is no such projection, or it cannot be replayed elsewhere.
    #[error("{0}")]
    NotFound(String),
    /// The scratch store has something in it already.
    #[error("the scratch store has a read model of {0} already: name an empty one")]
    NotEmpty(String),
    /// Something went wrong, as it would for the projection.
    #[error(transparent)]
    Failed(#[from] ProjectionError),
}

impl From<OpenReadModelError> for ReplayError {
    fn from(error: OpenReadModelError) -> Self {
        Self::Failed(error.into())
    }
}

impl Projections {
    /// Replays a projection's newest handler into an empty scratch store. It tells `told` of every step from
    /// [`Replay::steps_from`] on and of its progress before, waits where nobody takes it, and ends early once
    /// nobody listens.
    ///
    /// # Errors
    /// If there is no such projection, it keeps tables of its own kind, the store is not empty, or what would
    /// stop the projection.
    pub async fn replay(
        &self,
        replay: &Replay,
        scratch: SharedReadModelStore,
        told: mpsc::Sender<ReplayTold>,
    ) -> Result<Replayed, ReplayError> {
        let name = &replay.projection;
        let (mut projection, watching) = self.in_scratch(name, scratch)?;
        let spec = projection.spec().clone();
        let Tables::Keyed { key, row } = spec.tables.clone() else {
            return Err(not_by_key(name));
        };
        let begun = ReadModelStore::begin(&*watching, spec.clone()).await?;
        let fresh =
            |it: &ReadModel| it.checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.events == 0);
        let [only] = &begun[..] else { return Err(ReplayError::NotEmpty(name.clone())) };
        if !fresh(only) {
            return Err(ReplayError::NotEmpty(name.clone()));
        }
        let partitions = self.journal.capabilities().partitions;
        let takeover = Takeover::whole(self.journal.incarnation(), partitions);
        let opened = projection.open(only.id.run, takeover).await?;
        let mut going = Going {
            journal: self.journal.clone(),
            projection,
            watching,
            at: opened.checkpoint,
            effort: Effort { workers: 1, event_time_max: self.settings.event_time_max },
            now: self.environment.now(),
            batch_events_max: self.settings.batch_events_max,
        };
        let before = going.at.events;
        // Nobody may be listening: then the first event tells.
        let _ = told.send(ReplayTold::Begun { key, row }).await;
        for partition in 0..partitions {
            if !going.partition(PartitionId::new(partition), replay, &told).await? {
                break;
            }
        }
        let (read_model, checkpoint) = (only.id.clone(), going.at);
        let events = checkpoint.events - before;
        Ok(Replayed { read_model, events, checkpoint })
    }

    /// The projection's newest handler on the scratch store.
    fn in_scratch(
        &self,
        name: &str,
        scratch: SharedReadModelStore,
    ) -> Result<(Box<dyn BatchProjection>, Arc<Watching>), ReplayError> {
        let newest = self.newest.lock().expect("nothing panics under it");
        let handler = newest.get(name).ok_or_else(|| {
            ReplayError::NotFound(format!("no projection {name} is registered with this service"))
        })?;
        let Tables::Keyed { key, .. } = &handler.spec().tables else {
            return Err(not_by_key(name));
        };
        let watching =
            Arc::new(Watching { scratch, key_columns: key.len(), changed: Mutex::default() });
        let projection = handler.another_in(watching.clone()).ok_or_else(|| not_by_key(name))?;
        Ok((projection, watching))
    }
}

fn not_by_key(name: &str) -> ReplayError {
    let what = "keeps tables of its own, not rows by key, and cannot be replayed elsewhere";
    ReplayError::NotFound(format!("projection {name} {what}"))
}

/// A replay on its way.
struct Going {
    journal: SharedJournal,
    projection: Box<dyn BatchProjection>,
    watching: Arc<Watching>,
    at: Checkpoint,
    effort: Effort,
    now: Timestamp,
    batch_events_max: usize,
}

impl Going {
    /// One partition up to the end; gives whether the others are wanted too.
    async fn partition(
        &mut self,
        partition: PartitionId,
        replay: &Replay,
        told: &mpsc::Sender<ReplayTold>,
    ) -> Result<bool, ReplayError> {
        let head = self.journal.head(partition).await.map_err(ProjectionError::from)?;
        let last = match replay.until {
            ReplayUntil::Position(position) => position.min(head.position),
            _ => head.position,
        };
        let filter =
            EventFilter { types: self.projection.spec().types.clone(), ..EventFilter::default() };
        let mut after = self.at.seen.mark(partition);
        while after.position < last {
            let read = ReadPartition::after(partition, after.position).filter(filter.clone());
            let read = ReadPartition { limit_events: self.batch_events_max, ..read };
            let page = self.journal.read_partition(read).await.map_err(ProjectionError::from)?;
            let checked = check_page(after, &page.events, page.scanned, page.at_head);
            if let Err(End::Failed(error)) = checked {
                return Err(error.into());
            }
            let count = page.events.len();
            let within = |event: &RecordedEvent| {
                event.position <= last
                    && match replay.until {
                        ReplayUntil::Time(time) => event.time() <= time,
                        _ => true,
                    }
            };
            let mut events: Vec<_> = page.events.into_iter().take_while(within).collect();
            let is_cut = events.len() < count;
            let steps = replay.steps_from.unwrap_or(Position::new(u64::MAX));
            let stepped = events.split_off(events.partition_point(|it| it.position < steps));
            if let Some(at) = events.last().map(RecordedEvent::mark) {
                self.handle(Batch::new(events, self.at.clone(), at)).await?;
                let events = self.at.events;
                if told.send(ReplayTold::Progress { events, at, last }).await.is_err() {
                    return Ok(false);
                }
            }
            for event in stepped {
                let batch = Batch::new(vec![event.clone()], self.at.clone(), event.mark());
                let parked = self.handle(batch).await?;
                let rows = mem::take(&mut *self.watching.changed());
                let step = Box::new(ReplayStep { event, rows, parked });
                if told.send(ReplayTold::Step(step)).await.is_err() {
                    return Ok(false);
                }
            }
            after = page.scanned;
            if is_cut || page.at_head {
                break;
            }
        }
        Ok(true)
    }

    async fn handle(&mut self, mut batch: Batch) -> Result<Vec<ParkedChange>, ReplayError> {
        (batch.effort, batch.at) = (self.effort, self.now);
        let next = batch.next.clone();
        self.watching.changed().clear();
        let written = self.projection.write(batch, None).await.map_err(|error| match error {
            BatchError::Event(failure) => ProjectionError::Event(failure),
            BatchError::Commit(error) => error.into(),
            other => ProjectionError::Panicked(other.to_string()),
        })?;
        self.at = next;
        Ok(written.parked)
    }
}

/// The scratch store, watched: what each commit changed.
struct Watching {
    scratch: SharedReadModelStore,
    key_columns: usize,
    changed: Mutex<Vec<ChangedRow>>,
}

/// Rows that are looked at before they change: those of a large batch are not, since nobody is told of them.
const WATCHED_ROWS_MAX: usize = 64;

impl Watching {
    fn changed(&self) -> std::sync::MutexGuard<'_, Vec<ChangedRow>> {
        self.changed.lock().expect("nothing panics under it")
    }

    /// The rows that the commit changes, as they are before it and will be after it.
    async fn changes_of(&self, commit: &Commit) -> Result<Vec<ChangedRow>, StoreFault> {
        let upserts = commit.upserts.iter().map(|row| {
            let (key, row) = row.split_at(self.key_columns);
            (key.to_vec(), Some(row.to_vec()))
        });
        let deletes = commit.deletes.iter().map(|key| (key.clone(), None));
        let (keys, after): (Vec<_>, Vec<_>) = upserts.chain(deletes).unzip();
        let before = self.scratch.load(&commit.read_model, keys.clone()).await?;
        let rows = keys.into_iter().zip(before).zip(after);
        let rows = rows.map(|((key, before), after)| ChangedRow { key, before, after });
        Ok(rows.filter(|row| row.before != row.after).collect())
    }
}

impl ReadModelStore for Watching {
    fn identity(&self) -> usize {
        self.scratch.identity()
    }

    async fn begin(&self, spec: ReadModelSpec) -> Result<Vec<ReadModel>, OpenReadModelError> {
        self.scratch.begin(spec).await
    }

    async fn open(
        &self,
        spec: ReadModelSpec,
        run: u32,
        takeover: Takeover,
    ) -> Result<Opened, OpenReadModelError> {
        self.scratch.open(spec, run, takeover).await
    }

    async fn load(
        &self,
        read_model: &ReadModelId,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
        self.scratch.load(read_model, keys).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        let rows = commit.upserts.len() + commit.deletes.len();
        let changed = match rows {
            1..=WATCHED_ROWS_MAX => self.changes_of(&commit).await?,
            _ => Vec::new(),
        };
        self.scratch.commit(commit).await?;
        *self.changed() = changed;
        Ok(())
    }

    async fn switch(&self, to: &ReadModelId, live: LiveHistory) -> Result<(), SwitchError> {
        self.scratch.switch(to, live).await
    }

    async fn read_models(&self) -> Result<Vec<ReadModel>, StoreFault> {
        self.scratch.read_models().await
    }

    async fn parked(
        &self,
        read_model: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreFault> {
        self.scratch.parked(read_model, after, limit).await
    }

    async fn letters(
        &self,
        read_model: &ReadModelId,
        key: KeyText,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreFault> {
        self.scratch.letters(read_model, key, skip, limit).await
    }

    async fn act(&self, act: Act, by: By) -> Result<(), ActError> {
        self.scratch.act(act, by).await
    }

    async fn acts(&self, limit: usize) -> Result<Vec<ActRecord>, StoreFault> {
        self.scratch.acts(limit).await
    }

    async fn report(&self, read_model: &ReadModelId, report: Report) -> Result<(), StoreFault> {
        self.scratch.report(read_model, report).await
    }
}
