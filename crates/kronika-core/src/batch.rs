//! What the runner of projections drives: anything that takes a journal's events in batches and keeps its
//! checkpoint with what it writes.
//!
//! Keyed folds are one; a back end's own handler, with its transaction at hand, is another. Neither decides
//! when a batch is tried again.

use crate::{
    append::Mark,
    dyn_journal::BoxFuture,
    ids::{PartitionId, Position, Version},
    read_model::{
        Checkpoint, CommitError, Generation, OpenReadModelError, ProjectionName, StoreFault,
        Takeover,
    },
    recorded::RecordedEvent,
    stream::StreamId,
};
use std::{any::Any, fmt, sync::Arc};

/// A projection with its store, as its runner sees it.
///
/// # Contract
///
/// `write` stores the effects of all events of the batch and the checkpoint `next` in one transaction, if the
/// checkpoint stands at `expected`; else nothing. It may be called again with the same batch, or with its
/// beginning, after any failure.
pub trait BatchProjection: Send + 'static {
    /// Its name.
    fn name(&self) -> &ProjectionName;
    /// Its handler's number.
    fn generation(&self) -> Generation;
    /// The aggregate types that it follows; all if empty.
    fn types(&self) -> Vec<String>;
    /// Makes its tables where there are none, and takes its checkpoint over.
    fn open(&mut self, takeover: Takeover)
    -> BoxFuture<'_, Result<Checkpoint, OpenReadModelError>>;
    /// What decodes its events beside the write of those before them; nothing by default.
    fn decoder(&self) -> Option<Arc<dyn DecodeAhead>> {
        None
    }
    /// Handles a batch. `decoded` is what its own decoder made of exactly these events, where it did.
    fn write(
        &mut self,
        batch: Batch,
        decoded: Option<Decoded>,
    ) -> BoxFuture<'_, Result<(), BatchError>>;
}

/// What can be done with events before it is their turn. It knows nothing of what is stored.
pub trait DecodeAhead: Send + Sync {
    /// Decodes events. A failure is part of what is decoded: it is told when it is the events' turn.
    fn decode<'a>(&'a self, events: &'a [RecordedEvent]) -> BoxFuture<'a, Decoded>;
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
}

impl Batch {
    /// Events read after a checkpoint, where everything up to `scanned` was looked at.
    pub fn new(events: Vec<RecordedEvent>, expected: Checkpoint, scanned: Mark) -> Self {
        let time = events.last().map(RecordedEvent::time);
        let next = expected.advanced(scanned, events.len() as u64, time);
        let (partition, end) = (scanned.partition, events.len());
        Self { events: Arc::new(events), first: 0, end, partition, expected, next }
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
        let between = self.expected.advanced(last.mark(), count as u64, Some(last.time()));
        let head = Self { end: cut, next: between.clone(), ..self.clone() };
        (head, Self { first: cut, expected: between, ..self.clone() })
    }
}

/// Why a batch was not written. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// This event cannot be handled; those before it can.
    #[error(transparent)]
    Event(Box<EventFailure>),
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
