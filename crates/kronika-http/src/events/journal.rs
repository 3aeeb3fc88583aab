//! `GET /events`: the journal in pages, and the reading that the live feed shares with it.

use super::{form::EventForm, place::Place};
use crate::{
    commands::json,
    headers::{POSITION, position_value},
    parameters::Parameters,
    problem::{Problem, ProblemKind, read_problem},
    shared::Shared,
    states::check_token,
};
use axum::{
    extract::Request,
    http::{HeaderValue, header::CACHE_CONTROL},
    response::Response,
};
use kronika_core::{PartitionId, ReadPartition, RecordedEvent};
use serde::Serialize;

/// A list as it is told.
#[derive(Serialize)]
pub(super) struct Events<'a, N> {
    pub events: Vec<EventForm<'a>>,
    pub next: Option<N>,
}

/// Events of all partitions after a place; the place moves on behind them.
pub(super) struct Page {
    pub events: Vec<RecordedEvent>,
    pub at_head: bool,
}

/// One page as a list. What comes later than the head when it was read is for the next request.
pub(crate) async fn list(shared: &Shared, request: Request) -> Result<Response, Problem> {
    let parameters = Parameters::of(request.uri())?;
    let headers = request.headers().clone();
    drop(request); // its body is nobody's
    let limit = parameters.limit()?;
    check_token(shared, &headers).await?;
    let mut place = match parameters.once("after")? {
        None => Place::start(shared),
        Some(after) => Place::parse(shared, &headers, "after", after).await?,
    };
    let page = read_page(shared, &mut place, limit, shared.limits.page_bytes).await?;
    let next = (!page.at_head).then(|| place.token.to_string());
    let partitions = shared.journal().capabilities().partitions;
    let mut response = told(&page.events, partitions, next)?;
    response.headers_mut().insert(POSITION, position_value(&place.token));
    Ok(response)
}

/// A list of events as a response.
pub(super) fn told(
    events: &[RecordedEvent],
    partitions: u16,
    next: Option<impl Serialize>,
) -> Result<Response, Problem> {
    let forms = events.iter().map(|event| form(event, partitions)).collect::<Result<_, _>>()?;
    let list = serde_json::to_vec(&Events { events: forms, next });
    let list = list.map_err(|error| {
        tracing::error!(%error, "a list of events cannot be written");
        Problem::internal(ProblemKind::Failed, "the events cannot be written")
    })?;
    let mut response = json(list);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// An event's form, or that its body is not what it says.
pub(super) fn form(event: &RecordedEvent, partitions: u16) -> Result<EventForm<'_>, Problem> {
    EventForm::of(event, partitions).map_err(|_| {
        let (stream, version) = (event.stream().name(), event.version.get());
        tracing::error!(stream, version, "the body of an event is no JSON");
        let detail = format!("the body of {stream} at version {version} is no JSON");
        Problem::internal(ProblemKind::NotLoadable, detail)
            .with("stream", stream)
            .with("version", version)
    })
}

/// Each partition gives its share, so that none waits for another to be read to its end.
pub(super) async fn read_page(
    shared: &Shared,
    place: &mut Place,
    limit: usize,
    limit_bytes: usize,
) -> Result<Page, Problem> {
    let journal = shared.journal();
    let partitions = journal.capabilities().partitions.max(1);
    let (mut events, mut at_head) = (Vec::new(), true);
    for number in 0..partitions {
        let partition = PartitionId::new(number);
        let share = (limit - events.len()).div_ceil(usize::from(partitions - number));
        if share == 0 {
            at_head = false;
            continue;
        }
        let mut read = ReadPartition::after(partition, place.after(partition)).limit_events(share);
        read.limit_bytes = limit_bytes;
        let page = journal.read_partition(read).await;
        let page = page.map_err(|error| read_problem(&error, "the journal", &shared.standing()))?;
        place.see(page.scanned);
        at_head &= page.at_head;
        events.extend(page.events);
    }
    Ok(Page { events, at_head })
}
