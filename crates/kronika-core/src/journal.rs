//! The journal: the store of events, the only source of truth.
//!
//! A back end implements [`Journal`]; everything above it speaks to [`crate::DynJournal`], so that no back-end
//! type reaches a user. What a back end cannot do it declares in [`Capabilities`].

use crate::{
    append::{Append, Appended, Mark},
    ids::{
        AppendId, Epoch, Incarnation, PartitionId, Position, Slice, SliceRange, Timestamp, Version,
    },
    recorded::{RecordedAppend, RecordedEvent},
    stream::StreamId,
};
use std::{future::Future, time::Instant};

/// What a back end can do. The conformance suite reads it and tests what is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Units of total order. With one, the whole journal has one order.
    pub partitions: u16,
    /// Whether [`Journal::read_append`] finds an append by idempotency key, however old.
    pub finds_keys: bool,
    /// Whether what was acknowledged survives a loss of power.
    pub durable: bool,
    /// Whether a claim may be refused because another owner's lease is live.
    pub leases: bool,
}

/// The store of events.
///
/// # Contract
///
/// * **All or none.** The events of an append are recorded together or not at all, with versions after
///   `expected` and dense positions, in order.
/// * **Durable before told.** `Ok` means that it survives a crash, if [`Capabilities::durable`].
/// * **Order without holes.** Positions of a partition are dense and in commit order; whoever was shown
///   position p is never later shown anything at or below p that it has not seen.
/// * **One writer.** An append is refused if its stream's version is not `expected` (`Conflict`), if a newer
///   epoch was claimed for its slice (`Fenced`), or if an append of the same or a newer loading of the
///   stream failed before it (`Predecessor`, see [`crate::Chains`]): over groups too.
/// * **Order of calls.** A group takes its place when `append` is called, not when its future is first
///   polled, and makes progress without being polled; dropping the future withdraws nothing. Groups may be in flight side by side; appends of one
///   stream keep the order of the calls. Appends of different streams succeed or fail apart.
/// * **Nothing is guessed.** `UnknownOutcome` only where the append may have been recorded. After
///   [`Journal::claim`] returned, no append under an older epoch can still be recorded.
pub trait Journal: Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Which history this is.
    fn incarnation(&self) -> Incarnation;

    /// Records a group of appends, with a result for each, in their order.
    fn append(&self, group: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<Self>;

    /// Raises the epoch of the slices. `Unavailable` means that nothing was changed; `Fenced`, that appends under
    /// `held` have become impossible. With `held`, only while each of them is still at that epoch; without,
    /// only where the lease is free or over. Returns when every append under an older epoch is recorded or has
    /// become impossible.
    fn claim(
        &self,
        slices: SliceRange,
        held: Option<Epoch>,
    ) -> impl Future<Output = Result<Ownership, ClaimError>> + Send;

    /// The present epoch of a slice, as recorded: for an owner that no longer trusts its lease.
    fn epoch(&self, slice: Slice) -> impl Future<Output = Result<Epoch, ReadError>> + Send;

    /// A page of a stream, as appends.
    fn read_stream(
        &self,
        read: ReadStream,
    ) -> impl Future<Output = Result<StreamPage, ReadError>> + Send;

    /// A page of a partition's events, in order of position.
    fn read_partition(
        &self,
        read: ReadPartition,
    ) -> impl Future<Output = Result<PartitionPage, ReadError>> + Send;

    /// One append of a stream, by its id or its idempotency key; `None` if it was not recorded.
    fn read_append(
        &self,
        stream: &StreamId,
        by: AppendBy,
    ) -> impl Future<Output = Result<Option<RecordedAppend>, ReadError>> + Send;

    /// The last durable event of a partition.
    fn head(&self, partition: PartitionId) -> impl Future<Output = Result<Mark, ReadError>> + Send;

    /// Waits until the head is beyond `position`, and gives it. Without polling where the back end can tell.
    fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> impl Future<Output = Result<Mark, ReadError>> + Send;

    /// The event at a position, to check a token or a checkpoint against; `None` beyond the head and at 0.
    fn mark_at(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> impl Future<Output = Result<Option<Mark>, ReadError>> + Send {
        async move {
            let Some(before) = position.get().checked_sub(1) else { return Ok(None) };
            let read = ReadPartition::after(partition, Position::new(before)).limit_events(1);
            let page = self.read_partition(read).await?;
            Ok(page
                .events
                .first()
                .filter(|event| event.position == position)
                .map(RecordedEvent::mark))
        }
    }

    /// The last event of a partition that was recorded at or before a time: where a read from a time begins, and
    /// what the state "as of then" is folded up to. Before the first event it is position 0. It takes about as
    /// many small reads as the head's position has bits.
    fn at_time(
        &self,
        partition: PartitionId,
        time: Timestamp,
    ) -> impl Future<Output = Result<Mark, ReadError>> + Send {
        async move {
            let mut last = Mark { partition, ..Mark::default() };
            let mut beyond = self.head(partition).await?.position.plus(1);
            // Times never go back: all up to `last` are early enough, all from `beyond` on are not.
            while last.position.plus(1) < beyond {
                let between = (last.position.get() + beyond.get()) / 2;
                let read = ReadPartition::after(partition, Position::new(between - 1));
                let page = self.read_partition(read.limit_events(1)).await?;
                match page.events.first() {
                    Some(event) if event.time() <= time => last = event.mark(),
                    _ => beyond = Position::new(between),
                }
            }
            Ok(last)
        }
    }

    /// The version that a stream had at a time: 0 before its first event. It takes about as many small reads as
    /// the newest version has bits.
    fn version_at(
        &self,
        stream: &StreamId,
        time: Timestamp,
    ) -> impl Future<Output = Result<Version, ReadError>> + Send {
        async move {
            let newest = self.read_stream(ReadStream::backwards(stream.clone()).limit_appends(1));
            let (mut last, mut beyond) = (0, newest.await?.newest.get() + 1);
            while last + 1 < beyond {
                // The append that holds the version between; those without events may stand before it.
                let between = (last + beyond) / 2;
                let mut from = Some(StreamCursor::at(Version::new(between - 1)));
                let mut holding = None;
                while let Some(next) = from.take().filter(|_| holding.is_none()) {
                    let read = ReadStream::forwards(stream.clone()).from(next).limit_appends(64);
                    let page = self.read_stream(read).await?;
                    let holds = |append: &RecordedAppend| append.version().get() >= between;
                    holding = page.appends.into_iter().find(holds);
                    from = page.next;
                }
                match holding {
                    Some(append) if append.header.time <= time => last = append.version().get(),
                    Some(append) => beyond = append.header.expected.get() + 1,
                    None => break,
                }
            }
            Ok(Version::new(last))
        }
    }
}

/// The right to write to a range of slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The epoch that was claimed.
    pub epoch: Epoch,
    /// How long nobody else can claim it.
    pub lease: Lease,
}

/// How long an ownership excludes others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lease {
    /// As long as the process lives: it holds a lock that nobody else can take.
    Exclusive,
    /// Until then by the monotonic clock; afterwards answers without an append need [`Journal::epoch`].
    Until(Instant),
}

/// Why a claim was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another owner claimed it since.
    #[error("epoch {held} is over, the present one is {now}")]
    Fenced {
        /// What the claimant held.
        held: Epoch,
        /// The present epoch.
        now: Epoch,
    },
    /// Another owner's lease is live.
    #[error("the slices are owned by another writer whose lease is live")]
    Leased,
    /// Try again later.
    #[error("the journal cannot be reached now: {0}")]
    Unavailable(String),
    /// The journal must be opened anew.
    #[error("the journal has failed and must be opened anew: {0}")]
    Failed(String),
}

/// Forwards from the first version, or backwards from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Oldest first.
    #[default]
    Forwards,
    /// Newest first.
    Backwards,
}

/// What to read of a stream. Whole appends are given, also where a bound falls inside one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStream {
    /// The stream.
    pub stream: StreamId,
    /// Where to begin, see [`StreamCursor`].
    pub from: StreamCursor,
    /// Which way.
    pub direction: Direction,
    /// Appends at most, at least 1.
    pub limit_appends: usize,
    /// Bytes of bodies after which the page ends; at least one append is given.
    pub limit_bytes: usize,
}

impl ReadStream {
    /// The whole stream from its first event, in pages of the default size.
    pub fn forwards(stream: StreamId) -> Self {
        Self {
            stream,
            from: StreamCursor::at(Version::ZERO),
            direction: Direction::Forwards,
            limit_appends: 1024,
            limit_bytes: 4 << 20,
        }
    }
    /// The stream from its newest append back.
    pub fn backwards(stream: StreamId) -> Self {
        let from = StreamCursor::at(Version::new(u64::MAX));
        Self { from, direction: Direction::Backwards, ..Self::forwards(stream) }
    }
    /// Begins at a version, or where a page ended.
    pub fn from(self, from: impl Into<StreamCursor>) -> Self {
        Self { from: from.into(), ..self }
    }
    /// Appends at most.
    pub fn limit_appends(self, limit_appends: usize) -> Self {
        Self { limit_appends, ..self }
    }
}

/// Appends of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPage {
    /// In the direction of the read.
    pub appends: Vec<RecordedAppend>,
    /// The stream's newest version when the page was read; 0 if there is none.
    pub newest: Version,
    /// Where to go on, as [`StreamCursor`] says; `None` at the end.
    pub next: Option<StreamCursor>,
}

/// Where a page of a stream begins. A version alone does not tell, since several appends without events may
/// stand on one version.
///
/// Forwards, a page begins with the first append that ends after `version`, or stands on it: all appends
/// with `expected + events > version` or `expected >= version`, in order, but for the first `skip` of them.
/// Backwards, with the last append that stands on a version at or below `version`, but for the last `skip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCursor {
    /// Version to begin at.
    pub version: Version,
    /// Appends from there that were given already.
    pub skip: usize,
}

impl StreamCursor {
    /// At a version, skipping none.
    pub const fn at(version: Version) -> Self {
        Self { version, skip: 0 }
    }
}

impl From<Version> for StreamCursor {
    fn from(version: Version) -> Self {
        Self::at(version)
    }
}

/// What to read of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPartition {
    /// Journal partition.
    pub partition: PartitionId,
    /// Events after this position.
    pub after: Position,
    /// Only these.
    pub filter: EventFilter,
    /// Events at most, at least 1.
    pub limit_events: usize,
    /// Bytes of bodies after which the page ends; at least one event is given.
    pub limit_bytes: usize,
}

impl ReadPartition {
    /// All events after a position, in pages of the default size.
    pub fn after(partition: PartitionId, after: Position) -> Self {
        Self {
            partition,
            after,
            filter: EventFilter::default(),
            limit_events: 1024,
            limit_bytes: 4 << 20,
        }
    }
    /// Events at most.
    pub fn limit_events(self, limit_events: usize) -> Self {
        Self { limit_events, ..self }
    }
    /// Only events that the filter lets through.
    pub fn filter(self, filter: EventFilter) -> Self {
        Self { filter, ..self }
    }
}

/// Which events to give. Empty lists let everything through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Streams of these slices.
    pub slices: SliceRange,
    /// Streams of one of these aggregate types.
    pub types: Vec<String>,
    /// Events with one of these tags.
    pub tags: Vec<String>,
}

impl Default for EventFilter {
    fn default() -> Self {
        Self { slices: SliceRange::ALL, types: Vec::new(), tags: Vec::new() }
    }
}

impl EventFilter {
    /// Whether a stream's events can pass, whatever their tags.
    pub fn admits_stream(&self, stream: &StreamId) -> bool {
        self.slices.contains(stream.slice())
            && (self.types.is_empty()
                || self.types.iter().any(|name| name == stream.aggregate_type()))
    }
    /// Whether an event with these tags can pass, whatever its stream.
    pub fn admits_tags(&self, tags: &[String]) -> bool {
        self.tags.is_empty() || tags.iter().any(|tag| self.tags.contains(tag))
    }
    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// Events of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPage {
    /// In order of position.
    pub events: Vec<RecordedEvent>,
    /// Every position up to this one was looked at: the next page begins after it. A filter may leave the page
    /// empty and still advance it.
    pub scanned: Mark,
    /// Whether the head was reached.
    pub at_head: bool,
}

/// How to find one append of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendBy {
    /// By its id.
    Id(AppendId),
    /// By its idempotency key, within the scope of a principal. The newest, should a key have been used again.
    Key {
        /// Who sent it.
        principal: Option<String>,
        /// The key.
        key: String,
    },
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// What is stored is not what was written. Never to be skipped.
    #[error("the journal is damaged: {0}")]
    Corrupt(String),
    /// Try again later.
    #[error("the journal cannot be read now: {0}")]
    Unavailable(String),
    /// There is no such partition.
    #[error("the journal has no partition {0}")]
    NoPartition(PartitionId),
    /// The journal is closed, or must be opened anew.
    #[error("the journal is closed: {0}")]
    Closed(String),
}
