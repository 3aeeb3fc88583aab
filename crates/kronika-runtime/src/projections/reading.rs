//! Reading pages of a journal, also before their turn, and refusing those that contradict themselves.

use super::{
    pace::Pace,
    runner::{End, Runner, stopped},
};
use kronika_core::{
    Batch, DecodeAhead, Decoded, Mark, PartitionPage, ReadError, ReadPartition, RecordedEvent,
    SharedJournal,
};
use std::sync::Arc;

/// A page that was read before its turn.
pub(super) struct Ahead {
    pub page: PartitionPage,
    pub decoded: Option<Decoded>,
}

impl Runner {
    pub(super) async fn read(&mut self, read: ReadPartition) -> Result<PartitionPage, End> {
        let mut pace = Pace::new(&self.settings);
        loop {
            let journal = self.journal.clone();
            let page = tokio::select! { biased;
                () = stopped(&mut self.stop) => return Err(End::Stopped),
                page = journal.read_partition(read.clone()) => page,
            };
            match page {
                Ok(page) => return Ok(page),
                Err(error) => self.pause_reading(error, &mut pace).await?,
            }
        }
    }

    pub(super) async fn pause_reading(
        &mut self,
        error: ReadError,
        pace: &mut Pace,
    ) -> Result<(), End> {
        match error {
            ReadError::Unavailable(_) => self.pause(error.into(), pace).await,
            error => Err(End::Failed(error.into())),
        }
    }
}

/// What a journal must not give: handling it would skip or repeat events.
pub(super) fn check_page(
    after: Mark,
    events: &[RecordedEvent],
    scanned: Mark,
    at_head: bool,
) -> Result<(), End> {
    let bounds = std::iter::once(after.position).chain(events.iter().map(|event| event.position));
    let rising = bounds.is_sorted_by(|one, other| one < other);
    let last = events.last().map_or(after.position, |event| event.position);
    let moves = at_head || scanned.position > after.position;
    if rising && last <= scanned.position && moves {
        return Ok(());
    }
    let partition = after.partition;
    let what = format!(
        "the page after position {} of partition {partition} is out of order or stands still",
        after.position
    );
    Err(End::Failed(ReadError::Corrupt(what).into()))
}

/// The next page, decoded as far as that goes; `None` if it cannot be read now. What is done with is dropped
/// here, beside the runner's own work.
pub(super) async fn read_ahead(
    journal: SharedJournal,
    read: ReadPartition,
    decoder: Option<Arc<dyn DecodeAhead>>,
    done: Option<Batch>,
) -> Option<Ahead> {
    drop(done);
    let page = journal.read_partition(read).await.ok()?;
    let decoded = match decoder {
        Some(decoder) if !page.events.is_empty() => Some(decoder.decode(&page.events).await),
        _ => None,
    };
    Some(Ahead { page, decoded })
}
