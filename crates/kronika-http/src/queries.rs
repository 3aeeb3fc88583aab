//! How a query of the application is served: waiting for its read models, in bounded time, and with problems
//! for its refusals.

use crate::{
    headers::{check_history, position, wait},
    problem::{Problem, ProblemKind},
    query::Query,
    shared::Shared,
};
use axum::{
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use kronika_runtime::Waited;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

struct Waiting {
    shared: Arc<Shared>,
    projections: Vec<String>,
}

/// The query's methods with all that stands before and behind them.
pub(crate) fn served(query: Query, shared: &Arc<Shared>) -> MethodRouter {
    let waiting = Waiting { shared: shared.clone(), projections: query.waits_for };
    query
        .methods
        .route_layer(from_fn_with_state(Arc::new(waiting), answer))
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes))
}

async fn answer(State(waiting): State<Arc<Waiting>>, request: Request, next: Next) -> Response {
    let until = Instant::now() + waiting.shared.limits.query_time;
    let answer = async {
        waiting.wait(request.headers()).await?;
        Ok(as_problem(next.run(request).await).await)
    };
    let late = |_| {
        let detail = "the query could not be answered in time";
        Err(Problem::unavailable(ProblemKind::Deadline, detail))
    };
    timeout_at(until, answer).await.unwrap_or_else(late).unwrap_or_else(Problem::into_response)
}

impl Waiting {
    /// Until the read models have what the token has seen. Without read models, the journal alone has to.
    async fn wait(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = position(headers)? else { return Ok(()) };
        let (shared, within) = (&*self.shared, wait(headers)?);
        if self.projections.is_empty() {
            let until = Instant::now() + within;
            return check_history(shared.journal(), &token, until, &shared.standing()).await;
        }
        let names: Vec<_> = self.projections.iter().map(String::as_str).collect();
        match shared.kronika.projections().wait_for(&names, &token, within).await {
            Waited::There => Ok(()),
            Waited::Late => {
                let detail = "the read model has not yet what the token names";
                Err(Problem::unavailable(ProblemKind::NotYet, detail))
            }
            Waited::Diverged => {
                let detail = "the token, or the read model, is of another history";
                Err(Problem::new(ProblemKind::HistoryDiverged, StatusCode::CONFLICT, detail))
            }
            Waited::Failed { projection, .. } => {
                let detail = format!("projection {projection} does not go on");
                Err(Problem::unavailable(ProblemKind::Unavailable, detail)
                    .with("projection", projection))
            }
            _ => {
                let detail = "the read model cannot be waited for";
                Err(Problem::unavailable(ProblemKind::Unavailable, detail))
            }
        }
    }
}

/// Text of a refusal that is passed on, at most.
const REFUSAL_BYTES_MAX: usize = 4096;

/// A refusal in plain text or without any, as axum's extractors and bare status codes make them.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let plain = kind.is_none_or(|kind| kind.starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !plain {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let text = match std::str::from_utf8(&text) {
        Ok(text) if !text.is_empty() && status.is_client_error() => text.to_owned(),
        _ => status.canonical_reason().unwrap_or("the query failed").to_lowercase(),
    };
    let (told, body) = Problem::new(kind_of(status), status, text).into_response().into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(told.headers);
    Response::from_parts(parts, Body::new(body))
}

fn kind_of(status: StatusCode) -> ProblemKind {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ProblemKind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemKind::MethodNotAllowed,
        StatusCode::TOO_MANY_REQUESTS => ProblemKind::Overloaded,
        StatusCode::SERVICE_UNAVAILABLE => ProblemKind::Unavailable,
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => ProblemKind::BadBody,
        status if status.is_client_error() => ProblemKind::BadParameter,
        _ => ProblemKind::Failed,
    }
}
