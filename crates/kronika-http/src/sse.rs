//! An answer that goes on: server-sent events until the feed ends or the service does.

use crate::serve::Draining;
use axum::{
    http::HeaderValue,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{
    StreamExt,
    stream::{self, Stream},
};
use std::{convert::Infallible, time::Duration};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client that lost its connection comes again.
const RECONNECT: Duration = Duration::from_secs(1);

/// The answer that tells these events.
pub(crate) fn told(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
    draining: Draining,
) -> Response {
    let begin = stream::iter([Ok(Event::default().retry(RECONNECT))]);
    let events = begin.chain(events).take_until(async move { draining.wait().await });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Proxies that gather an answer before they pass it on would hold the feed back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
