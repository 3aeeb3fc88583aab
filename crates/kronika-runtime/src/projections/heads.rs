//! The heads of the journal's partitions, known without asking, so that lag is told also while a projection
//! stands still.

use futures_util::future::join_all;
use kronika_core::{Mark, PartitionId, Position, SharedJournal, Token};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// A head is taken up at most so often: it is for people to look at.
const PACE: Duration = Duration::from_millis(100);
/// Wait after the journal could not tell.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Heads(Vec<AtomicU64>);

impl Heads {
    pub fn new(partitions: u16) -> Self {
        Self((0..partitions).map(|_| AtomicU64::new(0)).collect())
    }

    /// The head is at least there.
    pub fn see(&self, mark: Mark) {
        if let Some(head) = self.0.get(usize::from(mark.partition.get())) {
            head.fetch_max(mark.position.get(), Ordering::Relaxed);
        }
    }

    /// Events between what was seen and the heads.
    pub fn lag_events(&self, seen: &Token) -> u64 {
        let behind = |(partition, head): (u16, &AtomicU64)| {
            let position = seen.mark(PartitionId::new(partition)).position.get();
            head.load(Ordering::Relaxed).saturating_sub(position)
        };
        (0..).zip(&self.0).map(behind).sum()
    }

    pub async fn follow(self: Arc<Self>, journal: SharedJournal) {
        join_all((0..self.0.len()).map(|index| self.follow_one(index, &journal))).await;
    }

    async fn follow_one(&self, index: usize, journal: &SharedJournal) {
        let partition = PartitionId::new(u16::try_from(index).expect("made from a u16"));
        loop {
            let known = Position::new(self.0[index].load(Ordering::Relaxed));
            match journal.wait_beyond(partition, known).await {
                Ok(head) => self.see(head),
                Err(_) => sleep(RETRY).await, // The runners tell of it.
            }
            sleep(PACE).await;
        }
    }
}
