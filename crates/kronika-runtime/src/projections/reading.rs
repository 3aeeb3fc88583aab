//! Reading pages of a journal, also before their turn, and refusing those that contradict themselves.

use super::{
    feed::{Feed, FeedPage},
    pace::Pace,
    runner::{End, Runner},
};
use kronika_core::{DecodeAhead, Decoded, Effort, Mark, ReadError, RecordedEvent};
use std::sync::Arc;

/// A page that was read before its turn.
pub(super) struct Ahead {
    pub page: FeedPage,
    pub decoded: Option<Decoded>,
}

impl Runner {
    pub(super) async fn read(
        &mut self,
        after: Mark,
        types: &[String],
        events_max: usize,
    ) -> Result<FeedPage, End> {
        let mut pace = Pace::new(&self.settings);
        let feed = self.feed.clone();
        let mut orders = self.orders.clone();
        loop {
            let page = tokio::select! { biased;
                _ = orders.wait_for(|orders| orders.stop) => return Err(End::Stopped),
                page = feed.page(after, types, events_max) => page,
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
            error => Err(error.into()),
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
    Err(ReadError::Corrupt(what).into())
}

/// The next page, decoded as far as that goes; `None` if it cannot be read now.
pub(super) async fn read_ahead(
    feed: &Feed,
    after: Mark,
    types: &[String],
    events_max: usize,
    decoder: Option<Arc<dyn DecodeAhead>>,
    effort: Effort,
) -> Option<Ahead> {
    let page = feed.page(after, types, events_max).await.ok()?;
    let decoded = match decoder {
        Some(decoder) if !page.events.is_empty() => {
            Some(decoder.decode(page.events.clone(), effort).await)
        }
        _ => None,
    };
    Some(Ahead { page, decoded })
}
