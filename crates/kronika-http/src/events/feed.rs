//! `GET /events` with `Accept: text/event-stream`: the journal from a place on, and then as it grows.
//!
//! Each event has a token as its id, so that a client that comes again with `Last-Event-ID` misses nothing
//! and sees nothing twice. A feed that cannot go on says why by an event named `problem`, and ends. What a
//! client does not read is not read from the journal either: nothing piles up here.

use super::{
    journal::{form, read_page},
    place::Place,
};
use crate::{
    parameters::Parameters,
    problem::{Problem, read_problem},
    serve::Draining,
    shared::{Shared, place as feed_place},
    sse,
    states::check_token,
};
use axum::{
    extract::Request,
    http::HeaderValue,
    response::{Response, sse::Event},
};
use futures_util::{
    future::select_all,
    stream::{self, Stream},
};
use kronika_core::{PartitionId, RecordedEvent};
use std::{collections::VecDeque, convert::Infallible, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// Events that one step takes from the journal.
const STEP_EVENTS: usize = 256;
/// Bytes of bodies after which the step ends: each feed holds no more than that.
const STEP_BYTES: usize = 64 << 10;

/// Opens a feed.
pub(crate) async fn feed(shared: Arc<Shared>, request: Request) -> Result<Response, Problem> {
    let parameters = Parameters::of(request.uri())?;
    let headers = request.headers().clone();
    let draining = request.extensions().get::<Draining>().cloned().unwrap_or_default();
    drop(request); // its body is nobody's
    check_token(&shared, &headers).await?;
    let last = headers.get("last-event-id").map(HeaderValue::to_str);
    let place = match (last, parameters.once("after")?) {
        (Some(Ok(last)), _) if !last.is_empty() => {
            Place::parse(&shared, &headers, "Last-Event-ID", last).await?
        }
        (Some(Err(_)), _) => {
            let detail = "Last-Event-ID is a token of this service";
            return Err(Problem::bad_parameter("Last-Event-ID", detail));
        }
        (_, Some(after)) => Place::parse(&shared, &headers, "after", after).await?,
        (_, None) => Place::start(&shared),
    };
    let permit = feed_place(&shared.feeds, "live feeds")?;
    let feed = Feed { shared, place, ready: VecDeque::new(), ended: false, _permit: permit };
    Ok(sse::told(feed.events(), draining))
}

struct Feed {
    shared: Arc<Shared>,
    /// Behind what was told.
    place: Place,
    /// Read and not yet told.
    ready: VecDeque<RecordedEvent>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, |mut feed| async move {
            if feed.ended {
                return None;
            }
            let event = feed.next().await.unwrap_or_else(|problem| {
                feed.ended = true;
                Event::default().event("problem").data(problem.to_json().to_string())
            });
            Some((Ok(event), feed))
        })
    }

    async fn next(&mut self) -> Result<Event, Problem> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.place.see(event.mark());
                let partitions = self.shared.journal().capabilities().partitions;
                let form = form(&event, partitions)?;
                let json = serde_json::to_string(&form).unwrap_or_else(|_| "null".to_owned());
                return Ok(Event::default().id(self.place.token.to_string()).data(json));
            }
            // What is read is told later, so the place is not moved on yet.
            let mut ahead = self.place.clone();
            let page = read_page(&self.shared, &mut ahead, STEP_EVENTS, STEP_BYTES).await?;
            if page.events.is_empty() {
                self.place = ahead;
                if page.at_head {
                    self.grown().await?;
                }
            }
            self.ready = page.events.into();
        }
    }

    /// Waits until any partition has more.
    async fn grown(&self) -> Result<(), Problem> {
        let journal = self.shared.journal();
        let partitions = (0..journal.capabilities().partitions.max(1)).map(PartitionId::new);
        let waits = partitions.map(|it| journal.wait_beyond(it, self.place.after(it)));
        let (grown, _, _) = select_all(waits).await;
        let problem = |error| read_problem(&error, "the journal", &self.shared.standing());
        grown.map(|_| ()).map_err(problem)
    }
}
