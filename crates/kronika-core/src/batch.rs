//! What the runner of projections drives: anything that takes a journal's events in batches and keeps its
//! checkpoint with what it writes.
//!
//! Keyed folds are one; a back end's own handler, with its transaction at hand, is another. Neither decides
//! when a batch is tried again.

use crate::{
    append::Mark,
    dyn_journal::BoxFuture,
    ids::{PartitionId, Position, Timestamp, Version},
    parking::{KeyText, Letter, ParkedChange},
    read_model::{
        Checkpoint, CommitError, Generation, OpenReadModelError, ProjectionName, ReadModelSpec,
        StoreFault, Takeover,
    },
    read_model_store::{Opened, SharedReadModelStore},
    recorded::RecordedEvent,
    stream::StreamId,
};
use std::{any::Any, fmt, sync::Arc, time::Duration};

/// A projection with its store, as its runner sees it: one read model's.
///
/// # Contract
///
/// `write` stores the effects of all events of the batch, its changes of what is parked and the checkpoint
/// `next` in one transaction, if the checkpoint stands at `expected`; else nothing. It may be called again with
/// the same batch, or with a part of it, after any failure.
pub trait BatchProjection: Send + 'static {
    /// What it is, and what it follows.
    fn spec(&self) -> &ReadModelSpec;
    /// Where its checkpoint is.
    fn store(&self) -> SharedReadModelStore;
    /// Another one of the same handler, for another read model.
    fn another(&self) -> Box<dyn BatchProjection>;
    /// Another one of the same handler in another store, to replay events into it; `None` where its tables can
    /// only be in its own.
    fn another_in(&self, store: SharedReadModelStore) -> Option<Box<dyn BatchProjection>> {
        let _ = store;
        None
    }
    /// Takes a read model over that was begun: see [`crate::ReadModelStore::open`].
    fn open(
        &mut self,
        run: u32,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Opened, OpenReadModelError>>;
    /// What decodes its events beside the write of those before them; nothing by default.
    fn decoder(&self) -> Option<Arc<dyn DecodeAhead>> {
        None
    }
    /// Events that it is given at once, at most; `None` for the runner's bound.
    fn batch_events_max(&self) -> Option<usize> {
        None
    }
    /// Whether it has only to do with what comes after its first start.
    fn begins_at_head(&self) -> bool {
        false
    }
    /// Whether its read model can be built anew: not where its handling reaches out of the service, which a rebuild
    /// would repeat.
    fn can_be_rebuilt(&self) -> bool {
        true
    }
    /// Where a `write` may be cut short when the service stops: how many of the batch's first events are handled
    /// all the same, which are then written alone. `None` where it is waited for.
    fn handled_when_cut(&self, batch: &Batch) -> Option<usize> {
        let _ = batch;
        None
    }
    /// Handles a batch. `decoded` is what its own decoder made of exactly these events, where it did.
    fn write(
        &mut self,
        batch: Batch,
        decoded: Option<Decoded>,
    ) -> BoxFuture<'_, Result<Written, BatchError>>;

    /// Its name.
    fn name(&self) -> &ProjectionName {
        &self.spec().name
    }
    /// Its handler's number.
    fn generation(&self) -> Generation {
        self.spec().generation
    }
}

/// What a batch has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What the projection has parked itself, beside what the batch says: projections by key do.
    pub parked: Vec<ParkedChange>,
    /// The keys of the rows that were changed, where the batch asks for them and they can be told.
    pub keys: Option<Vec<KeyText>>,
}

/// What may be spent on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Parts in which events are decoded and folded beside each other, at most.
    pub workers: u16,
    /// Time for the handling of one event.
    pub event_time_max: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        Self { workers: 1, event_time_max: Duration::from_secs(10) }
    }
}

/// What can be done with events before it is their turn. It knows nothing of what is stored.
pub trait DecodeAhead: Send + Sync {
    /// Decodes events. A failure is part of what is decoded: it is told
    /// when it is the events' turn.
    fn decode(&self, events: Arc<Vec<RecordedEvent>>, effort: Effort) -> BoxFuture<'_, Decoded>;
}

/// What a projection's decoder hands to its `write`.
pub type Decoded = Box<dyn Any + Send>;

/// Events of one partition, in order, with the checkpoint before and after them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch {
    events: Arc<Vec<RecordedEvent>>,
    first: usize,
    end: usize,
    /// The partition.
    pub partition: PartitionId,
    /// The checkpoint that it stands on.
    pub expected: Checkpoint,
    /// The checkpoint after it.
    pub next: Checkpoint,
    /// What changes of what is parked, in order of the events.
    pub parked: Vec<ParkedChange>,
    /// Only for this key, whose letters these are: it is parked all the same.
    pub only: Option<KeyText>,
    /// What may be spent on it.
    pub effort: Effort,
    /// Whether somebody wants to know whose rows change.
    pub tells_keys: bool,
    /// Now, for what is parked.
    pub at: Timestamp,
}

impl Batch {
    /// Events read after a checkpoint, where everything up to `scanned` was looked at.
    pub fn new(
        events: impl Into<Arc<Vec<RecordedEvent>>>,
        expected: Checkpoint,
        scanned: Mark,
    ) -> Self {
        let events = events.into();
        let time = events.last().map(RecordedEvent::time);
        let next = expected.advanced(scanned, events.len() as u64, time);
        let (partition, end) = (scanned.partition, events.len());
        Self {
            events,
            first: 0,
            end,
            partition,
            expected,
            next,
            parked: Vec::new(),
            only: None,
            effort: Effort::default(),
            tells_keys: false,
            at: Timestamp::new(0),
        }
    }

    /// The letters of a parked key that are to be handled now, of one partition. The checkpoint stays.
    pub fn drain(events: Vec<RecordedEvent>, key: KeyText, stands: Checkpoint) -> Self {
        let partition = events.first().map_or(PartitionId::new(0), |event| event.append.partition);
        let mut batch = Self::new(Vec::new(), stands, Mark { partition, ..Mark::default() });
        batch.parked = events.iter().map(|event| taken(&key, event)).collect();
        batch.end = events.len();
        batch.events = Arc::new(events);
        batch.only = Some(key);
        batch
    }

    /// The batch without the events of streams that are parked, which become letters.
    pub fn hold(self, key_of: impl Fn(&RecordedEvent) -> Option<KeyText>) -> Self {
        let (mut events, mut held) = (Vec::new(), Vec::new());
        for event in self.events() {
            match key_of(event) {
                Some(key) => held.push(ParkedChange::Hold { key, letter: Letter::of(event) }),
                None => events.push(event.clone()),
            }
        }
        let mut batch = self;
        batch.parked.extend(held);
        (batch.first, batch.end) = (0, events.len());
        batch.events = Arc::new(events);
        batch
    }

    /// All events that the batch was made of and where its own lie among them.
    pub fn shared(&self) -> (&Arc<Vec<RecordedEvent>>, std::ops::Range<usize>) {
        (&self.events, self.first..self.end)
    }

    /// The events, in order of position. None where a filter let none through.
    pub fn events(&self) -> &[RecordedEvent] {
        &self.events[self.first..self.end]
    }

    /// Its first `count` events as a batch of their own, and what is left behind them; the checkpoint between
    /// is that of the last event of the first.
    ///
    /// # Panics
    /// If one of the two would be empty.
    pub fn split(&self, count: usize) -> (Self, Self) {
        assert!(0 < count && count < self.events().len(), "both parts hold an event");
        let cut = self.first + count;
        let last = &self.events[cut - 1];
        let of_head = |change: &ParkedChange| match change {
            ParkedChange::Park { letter, .. } | ParkedChange::Hold { letter, .. } => {
                letter.position <= last.position
            }
            ParkedChange::Take { position, .. } => *position <= last.position,
            ParkedChange::Fail { .. } | ParkedChange::Lift { .. } => false,
        };
        let (in_head, in_tail): (Vec<_>, Vec<_>) = self.parked.iter().cloned().partition(of_head);
        let between = match &self.only {
            // Letters lie behind the checkpoint, which stays.
            Some(_) => self.expected.clone(),
            None => {
                let held = in_head.iter().filter(|change| change.holds()).count();
                let handled = (count + held) as u64;
                self.expected.advanced(last.mark(), handled, Some(last.time()))
            }
        };
        let head = Self { end: cut, next: between.clone(), parked: in_head, ..self.clone() };
        (head, Self { first: cut, expected: between, parked: in_tail, ..self.clone() })
    }
}

fn taken(key: &KeyText, event: &RecordedEvent) -> ParkedChange {
    let (partition, position) = (event.append.partition, event.position);
    ParkedChange::Take { key: key.clone(), partition, position }
}

/// Why a batch was not written. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// This event cannot be handled; those before it can.
    #[error(transparent)]
    Event(Box<EventFailure>),
    /// The handling of this event takes longer than it may, and cannot be ended.
    #[error("{failure}")]
    Stuck {
        /// The event, or the first one of those that are handled together.
        failure: Box<EventFailure>,
        /// How long it may take.
        time_max: Duration,
    },
    /// Some event of the batch cannot be handled.
    #[error("the batch cannot be handled: {0}")]
    Handler(String),
    /// The store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<StoreFault> for BatchError {
    fn from(fault: StoreFault) -> Self {
        Self::Commit(fault.into())
    }
}

/// An event that a projection cannot handle, named so that an operator finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFailure {
    /// The event's stable name.
    pub event: Arc<str>,
    /// Its journal partition.
    pub partition: PartitionId,
    /// Its place there.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// The key whose row it was folded into, where it came so far.
    pub key: Option<String>,
    /// The error with its causes, or the message of the panic.
    pub cause: String,
}

impl EventFailure {
    /// The failure of an event, for no key yet.
    pub fn of(event: &RecordedEvent, cause: impl Into<String>) -> Self {
        Self {
            event: event.name.clone(),
            partition: event.append.partition,
            position: event.position,
            stream: event.stream().clone(),
            version: event.version,
            key: None,
            cause: cause.into(),
        }
    }
}

impl fmt::Display for EventFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, position, stream, version, key, cause, .. } = self;
        write!(f, "event {event} at position {position} (version {version} of {stream})")?;
        if let Some(key) = key {
            write!(f, " for key {key}")?;
        }
        write!(f, " cannot be handled: {cause}")
    }
}

impl std::error::Error for EventFailure {}
