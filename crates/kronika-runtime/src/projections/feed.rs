//! One reading of the journal for all projections that are near each other.
//!
//! The newest pages of each partition are kept, read with the types of all projections. Who asks for what is
//! being read waits for that reading; who is elsewhere reads a page of his own, which takes the oldest one's
//! place.

use kronika_core::{
    EventFilter, Mark, PartitionPage, Position, ReadError, ReadPartition, RecordedEvent,
    SharedJournal,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::OnceCell;

/// Pages kept of a partition.
const PAGES: usize = 4;

pub(super) struct Feed {
    journal: SharedJournal,
    /// All of what any projection follows; all types if empty.
    types: Vec<String>,
    limit_events: usize,
    limit_bytes: usize,
    partitions: Vec<Mutex<VecDeque<Arc<Page>>>>,
    readings: AtomicU64,
}

/// A page that is read, or is being read.
struct Page {
    after: Position,
    read: OnceCell<FeedPage>,
}

/// Events of a partition that several projections may hold.
#[derive(Clone)]
pub(super) struct FeedPage {
    pub events: Arc<Vec<RecordedEvent>>,
    /// Every position up to this one was looked at.
    pub scanned: Mark,
    /// Whether the head was reached.
    pub at_head: bool,
}

impl FeedPage {
    fn of(page: PartitionPage) -> Self {
        let PartitionPage { events, scanned, at_head } = page;
        Self { events: Arc::new(events), scanned, at_head }
    }
}

impl Feed {
    pub fn new(
        journal: SharedJournal,
        types: Vec<String>,
        limit_events: usize,
        limit_bytes: usize,
    ) -> Self {
        let partitions = (0..journal.capabilities().partitions).map(|_| Mutex::default()).collect();
        Self { journal, types, limit_events, limit_bytes, partitions, readings: AtomicU64::new(0) }
    }

    /// Pages that were read from the journal so far.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// The page after a mark, of these types only (all if empty), with at most so many events.
    pub async fn page(
        &self,
        after: Mark,
        types: &[String],
        events_max: usize,
    ) -> Result<FeedPage, ReadError> {
        let page = self.at(after);
        let read = page.read.get_or_try_init(|| async {
            self.readings.fetch_add(1, Ordering::Relaxed);
            let filter = EventFilter { types: self.types.clone(), ..EventFilter::default() };
            let read = ReadPartition::after(after.partition, page.after).filter(filter);
            let (limit_events, limit_bytes) = (self.limit_events, self.limit_bytes);
            let read = ReadPartition { limit_events, limit_bytes, ..read };
            self.journal.read_partition(read).await.map(FeedPage::of)
        });
        match read.await {
            Ok(read) => Ok(self.part(read, after, types, events_max)),
            Err(error) => {
                self.forget(after, &page);
                Err(error)
            }
        }
    }

    /// The page that covers what comes after the mark, or is about to.
    fn at(&self, after: Mark) -> Arc<Page> {
        let mut pages = self.pages(after).lock().expect("nothing panics under it");
        let covers = |page: &&Arc<Page>| match page.read.get() {
            Some(read) => page.after <= after.position && after.position < read.scanned.position,
            None => page.after == after.position,
        };
        if let Some(page) = pages.iter().rev().find(covers) {
            return page.clone();
        }
        if pages.len() == PAGES {
            pages.pop_front();
        }
        let page = Arc::new(Page { after: after.position, read: OnceCell::new() });
        pages.push_back(page.clone());
        page
    }

    fn forget(&self, after: Mark, failed: &Arc<Page>) {
        let mut pages = self.pages(after).lock().expect("nothing panics under it");
        pages.retain(|page| !Arc::ptr_eq(page, failed));
    }

    fn pages(&self, after: Mark) -> &Mutex<VecDeque<Arc<Page>>> {
        &self.partitions[usize::from(after.partition.get())]
    }

    /// What one projection takes of a page: the page itself where it takes all.
    fn part(&self, read: &FeedPage, after: Mark, types: &[String], events_max: usize) -> FeedPage {
        let follows = |event: &&RecordedEvent| {
            types.is_empty() || types.iter().any(|it| it == event.stream().aggregate_type())
        };
        let behind = read.events.partition_point(|event| event.position <= after.position);
        let is_same = types == self.types || read.events.iter().all(|event| follows(&event));
        if behind == 0 && is_same && read.events.len() <= events_max.max(1) {
            return read.clone();
        }
        let mut events = read.events[behind..].iter();
        let taken: Vec<_> =
            events.by_ref().filter(follows).take(events_max.max(1)).cloned().collect();
        let is_all = events.as_slice().is_empty();
        let (scanned, at_head) = match taken.last() {
            Some(last) if !is_all => (last.mark(), false),
            _ => (read.scanned, read.at_head),
        };
        FeedPage { events: Arc::new(taken), scanned, at_head }
    }
}
