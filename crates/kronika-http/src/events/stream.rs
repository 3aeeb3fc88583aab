//! `GET /{type}/{id}/events`: the events of one aggregate in pages; `after` and `next` are versions.

use super::journal::told;
use crate::{
    headers::{POSITION, position_value},
    parameters::Parameters,
    problem::{Problem, read_problem},
    shared::Shared,
    states::check_token,
};
use axum::{extract::Request, response::Response};
use kronika_core::{ReadStream, RecordedEvent, StreamCursor, StreamId, Version};
use std::sync::Arc;

/// The events of one aggregate type, as a route holds them.
#[derive(Clone)]
pub(crate) struct EventsRoute {
    pub shared: Arc<Shared>,
    pub aggregate_type: &'static str,
}

impl EventsRoute {
    pub async fn get(self, id: String, request: Request) -> Result<Response, Problem> {
        let parameters = Parameters::of(request.uri())?;
        let (after, limit) = (parameters.version("after")?, parameters.limit()?);
        let headers = request.headers().clone();
        drop(request); // its body is nobody's
        check_token(&self.shared, &headers).await?;
        let stream =
            StreamId::new(self.aggregate_type, &id).map_err(|error| Problem::bad_id(&error))?;
        let after = after.unwrap_or(Version::ZERO);
        let (events, newest) = self.read(&stream, after, limit).await?;
        if newest == Version::ZERO {
            let detail = format!("{} {id:?} has no events", self.aggregate_type);
            return Err(Problem::not_found(detail));
        }
        let last = events.last();
        let next = last.map(|event| event.version).filter(|version| *version < newest);
        let mut token = self.shared.kronika.empty_token();
        last.inspect(|event| token.see(event.mark()));
        let partitions = self.shared.journal().capabilities().partitions;
        let mut response = told(&events, partitions, next.map(Version::get))?;
        response.headers_mut().insert(POSITION, position_value(&token));
        Ok(response)
    }

    /// Up to `limit` events, and the stream's newest version. Appends without events are passed over.
    async fn read(
        &self,
        stream: &StreamId,
        after: Version,
        limit: usize,
    ) -> Result<(Vec<RecordedEvent>, Version), Problem> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut bytes = 0;
        let mut cursor = StreamCursor::at(after);
        loop {
            let mut read = ReadStream::forwards(stream.clone()).from(cursor).limit_appends(limit);
            read.limit_bytes = self.shared.limits.page_bytes;
            let page = self.shared.journal().read_stream(read).await;
            let page =
                page.map_err(|error| read_problem(&error, stream.name(), &self.shared.standing()))?;
            let found = page.appends.into_iter().flat_map(|append| append.events);
            for event in found.filter(|event| event.version > after) {
                bytes += event.body.len();
                events.push(event);
                if events.len() == limit {
                    return Ok((events, page.newest));
                }
            }
            match page.next {
                Some(next) if bytes < self.shared.limits.page_bytes => cursor = next,
                _ => return Ok((events, page.newest)),
            }
            tokio::task::yield_now().await; // a long history does not hold up a worker
        }
    }
}
