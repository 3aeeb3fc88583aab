//! What stands around every route: a place among those served at a time, an end to panics, figures and logs.
//!
//! Logs name method, route and status. They hold no path, no header and no body: ids, keys and credentials
//! are in those.

use crate::{
    metrics::Observed,
    problem::{Problem, ProblemKind},
    shared::{Shared, place},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio::time::Instant;

/// Refuses what is more than may be served at a time. Not for health, figures and documentation: those tell
/// why.
pub(crate) async fn admit(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    match place(&shared.requests, "requests") {
        Ok(_place) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Answers also where the application's code panics, and counts what was answered.
pub(crate) async fn observe(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = known(request.method());
    let response = answer(method, route, next.run(request)).await;
    let (status, took) = (response.status().as_u16(), begin.elapsed());
    tracing::debug!(method, route, status, took_us = took.as_micros() as u64, "answered");
    shared.metrics.observe(&Observed { method, route, status, took });
    response
}

/// Answers also where the code of a route panics; for routes that nobody counts.
pub(crate) async fn contain(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    answer(known(request.method()), route, next.run(request)).await
}

async fn answer(method: &str, route: &str, answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        // The panic's own text was written by the panic hook; it may hold what no client should see.
        tracing::error!(method, route, "the code behind a route panicked");
        let detail = "the code behind this route panicked";
        Problem::internal(ProblemKind::Panicked, detail).into_response()
    })
}

/// A client may make methods up; figures do not grow with them.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
