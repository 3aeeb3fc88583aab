//! What the cases stand on: a journal that is open, the right to write to it, and short ways to fill and
//! read it.

use super::{Injection, MakeJournal};
use bytes::Bytes;
use kronika_core::{
    Append, AppendError, AppendId, Committed, Epoch, Journal, Loading, NewEvent, PartitionId,
    Position, ReadPartition, ReadStream, RecordedAppend, RecordedEvent, SliceRange, StreamId,
    Timestamp, Version,
};
use std::{cell::Cell, future::Future, pin::Pin, task::Poll};

/// Pages of one read, at most: a cursor that stands still is a failure, not a hang.
const PAGES_MAX: usize = 20_000;

/// A journal that is open, with an owner of all slices.
pub(super) struct Bed<'a, M: MakeJournal> {
    pub make: &'a M,
    pub place: M::Place,
    pub journal: M::Journal,
    pub epoch: Epoch,
    ids: Cell<u64>,
}

pub(super) fn stream(id: &str) -> StreamId {
    StreamId::new("account", id).expect("the suite names its streams well")
}

pub(super) fn streams(count: usize) -> Vec<StreamId> {
    (0..count).map(|number| stream(&format!("s{number}"))).collect()
}

pub(super) fn event(number: usize) -> NewEvent {
    let body = Bytes::from(format!("{{\"number\":{number}}}"));
    NewEvent { name: "noted".into(), schema: 1, body, ..NewEvent::default() }
}

pub(super) fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(event).collect()
}

pub(super) const FIRST_LOADING: Loading = Loading::new(1);

impl<'a, M: MakeJournal> Bed<'a, M> {
    pub async fn new(make: &'a M) -> Self {
        let place = make.place();
        let journal = make.open(&place).await;
        let claimed = journal.claim(SliceRange::ALL, None).await;
        let epoch = claimed.expect("a new journal can be claimed").epoch;
        Self { make, place, journal, epoch, ids: Cell::new(0) }
    }

    /// Closed, opened again, and claimed by who held it.
    pub async fn reopened(self) -> Self {
        let Self { make, place, journal, epoch, ids } = self;
        make.close(journal).await;
        let journal = make.open(&place).await;
        let mut bed = Self { make, place, journal, epoch, ids };
        bed.claim_again().await;
        bed
    }

    /// Crashed and opened again; `None` if the back end cannot simulate that.
    pub async fn crashed(self) -> Option<Self> {
        let Self { make, mut place, journal, epoch, ids } = self;
        let journal = make.crash(&mut place, journal).await?;
        let mut bed = Self { make, place, journal, epoch, ids };
        bed.claim_again().await;
        Some(bed)
    }

    pub async fn claim_again(&mut self) {
        let claimed = self.journal.claim(SliceRange::ALL, Some(self.epoch)).await;
        self.epoch = claimed.expect("who holds the newest epoch can claim over it").epoch;
    }

    pub fn inject(&self, injection: Injection) -> bool {
        self.make.inject(&self.journal, injection)
    }

    pub fn new_id(&self) -> AppendId {
        self.ids.set(self.ids.get() + 1);
        AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), self.ids.get())
    }

    /// An append of the first loading, with so many small events.
    pub fn append(&self, stream: &StreamId, expected: u64, count: usize) -> Append {
        Append {
            id: self.new_id(),
            stream: stream.clone(),
            expected: Version::new(expected),
            epoch: self.epoch,
            loading: FIRST_LOADING,
            events: events(count),
            command: "note".into(),
            more: None,
        }
    }

    pub async fn try_record(&self, append: Append) -> Result<Committed, AppendError> {
        let results = self.journal.append(vec![append]).await;
        assert_eq!(results.len(), 1, "one append has one result");
        results.into_iter().next().expect("it has one")
    }

    pub async fn record(&self, append: Append) -> Committed {
        let what = format!("{} on version {}", append.stream, append.expected);
        let recorded = self.try_record(append).await;
        recorded.unwrap_or_else(|error| panic!("an append to {what} was refused: {error}"))
    }

    /// A stranger's append of one event, by a loading that has nothing to do with the first.
    pub async fn record_as_stranger(&self, stream: &StreamId, expected: u64) -> Committed {
        let append = self.append(stream, expected, 1);
        self.record(Append { loading: Loading::new(9), ..append }).await
    }

    /// The whole stream, read in pages.
    pub async fn read(&self, stream: &StreamId) -> Vec<RecordedAppend> {
        self.pages(ReadStream::forwards(stream.clone())).await
    }

    /// Everything from a page on to the end.
    pub async fn pages(&self, mut read: ReadStream) -> Vec<RecordedAppend> {
        let mut appends = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.journal.read_stream(read.clone()).await.expect("a stream can be read");
            assert!(
                page.next.is_none() || !page.appends.is_empty(),
                "a page that goes on gives at least one append"
            );
            appends.extend(page.appends);
            match page.next {
                Some(next) => read = read.from(next),
                None => return appends,
            }
        }
        panic!("the pages of {} do not end", read.stream)
    }

    pub async fn version(&self, stream: &StreamId) -> Version {
        let read = ReadStream::forwards(stream.clone()).limit_appends(1);
        self.journal.read_stream(read).await.expect("a stream can be read").newest
    }

    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<M> {
        (0..self.journal.capabilities().partitions).map(PartitionId::new)
    }

    /// All events that a read lets through, in pages, from each partition in turn.
    pub async fn all(&self) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        for partition in self.partitions() {
            let read = ReadPartition::after(partition, Position::ZERO);
            events.extend(self.partition_pages(read).await);
        }
        events
    }

    pub async fn partition_pages(&self, mut read: ReadPartition) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.journal.read_partition(read.clone()).await;
            let page = page.expect("a partition can be read");
            assert!(
                page.at_head || page.scanned.position > read.after,
                "a page before the head looks at one more event at least, but stays at {}",
                read.after
            );
            read.after = page.scanned.position;
            events.extend(page.events);
            if page.at_head {
                return events;
            }
        }
        panic!("the pages of partition {} do not end", read.partition)
    }
}

/// Polls a future once, and says whether it is done.
pub(super) async fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// The ids of appends, for comparisons that read well.
pub(super) fn ids<'a>(appends: impl IntoIterator<Item = &'a RecordedAppend>) -> Vec<AppendId> {
    appends.into_iter().map(|append| append.header.id).collect()
}

/// Asserts the error of an append, without naming every variant at every place.
pub(super) fn assert_predecessor(result: &Result<Committed, AppendError>) {
    assert!(
        matches!(result, Err(AppendError::Predecessor)),
        "what stands on a failed append must fail as predecessor, but came {result:?}"
    );
}

pub(super) fn assert_conflict(result: &Result<Committed, AppendError>, newest: u64) {
    match result {
        Err(AppendError::Conflict { found, .. }) if found.get() == newest => {}
        other => panic!("a conflict with newest version {newest} was expected, but came {other:?}"),
    }
}
