//! How a query of the application is served: waiting for its read models, in bounded time, and with problems
//! for its refusals.

use crate::{
    headers::{check_history, position, wait},
    live::live,
    problem::{Problem, ProblemKind},
    query::Query,
    shared::Shared,
};
use axum::{
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, RawPathParams, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use kronika_core::{KeyText, Value};
use kronika_runtime::Waited;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// What a query is answered from.
pub(crate) struct Waiting {
    pub shared: Arc<Shared>,
    pub projections: Vec<String>,
    key: Vec<String>,
    is_live: bool,
}

/// How many keys of the read models behind an answer are parked, so that their rows lack events.
const PARKED: HeaderName = HeaderName::from_static("kronika-parked");

/// The query's methods with all that stands before and behind them.
pub(crate) fn served(query: Query, shared: &Arc<Shared>) -> MethodRouter {
    let waiting = Waiting {
        shared: shared.clone(),
        projections: query.waits_for,
        key: query.key,
        is_live: query.is_live,
    };
    query
        .methods
        .route_layer(from_fn_with_state(Arc::new(waiting), answer))
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes))
}

async fn answer(
    State(waiting): State<Arc<Waiting>>,
    path: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let until = Instant::now() + waiting.shared.limits.query_time;
    let key = waiting.key_of(&path);
    let answer = async {
        waiting.wait(request.headers(), key.as_ref()).await?;
        let before = waiting.parked(key.as_ref());
        let mut response = match waiting.is_live && wants_feed(&request) {
            true => live(waiting.clone(), key.clone(), request, next).await?,
            false => as_problem(next.run(request).await).await,
        };
        // What was parked or mended meanwhile may or may not show in the answer.
        let parked = before.max(waiting.parked(key.as_ref()));
        if parked > 0 {
            response.headers_mut().insert(PARKED, HeaderValue::from(parked));
        }
        Ok(response)
    };
    let late = |_| {
        let detail = "the query could not be answered in time";
        Err(Problem::unavailable(ProblemKind::Deadline, detail))
    };
    timeout_at(until, answer).await.unwrap_or_else(late).unwrap_or_else(Problem::into_response)
}

fn wants_feed(request: &Request) -> bool {
    let accepts = |accept: &str| accept.contains("text/event-stream");
    let mut accept = request.headers().get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    request.method() == Method::GET && accept.any(accepts)
}

impl Waiting {
    /// Until the read models have what the token has seen. Without read models, the journal alone has to.
    async fn wait(&self, headers: &HeaderMap, key: Option<&KeyText>) -> Result<(), Problem> {
        let Some(token) = position(headers)? else { return Ok(()) };
        let (shared, within) = (&*self.shared, wait(headers)?);
        if self.projections.is_empty() {
            let until = Instant::now() + within;
            return check_history(shared.journal(), &token, until, &shared.standing()).await;
        }
        let names: Vec<_> = self.projections.iter().map(String::as_str).collect();
        self.waited(shared.kronika.projections().wait_for(&names, &token, within).await)?;
        match key.and_then(|key| self.parked_in(key)) {
            Some(projection) => {
                let detail = format!("an event of this key waits in projection {projection}");
                let problem = Problem::new(ProblemKind::Parked, StatusCode::CONFLICT, detail);
                Err(problem.with("projection", projection))
            }
            None => Ok(()),
        }
    }

    /// The key that the request names, as an operator reads it.
    fn key_of(&self, path: &RawPathParams) -> Option<KeyText> {
        let value = |name: &String| {
            let (_, value) = path.iter().find(|(parameter, _)| parameter == name)?;
            Some(Value::Text(value.to_owned()))
        };
        let values: Option<Vec<_>> = self.key.iter().map(value).collect();
        values.filter(|values| !values.is_empty()).map(|values| KeyText::of(&values))
    }

    /// The projection in which the key is parked, if it is in one.
    fn parked_in(&self, key: &KeyText) -> Option<&str> {
        let projections = self.shared.kronika.projections();
        let parked = |name: &&String| projections.is_parked(name, key);
        self.projections.iter().find(parked).map(String::as_str)
    }

    /// How many keys are parked of which rows may be in the answer.
    fn parked(&self, key: Option<&KeyText>) -> usize {
        let projections = self.shared.kronika.projections();
        self.projections.iter().map(|name| projections.parked_count(name, key)).sum()
    }

    /// What waiting came to, as a refusal where it was in vain.
    pub fn waited(&self, waited: Waited) -> Result<(), Problem> {
        match waited {
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
pub(crate) async fn as_problem(response: Response) -> Response {
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
