//! What a client gets instead of an answer: `application/problem+json` as RFC 9457 draws it.
//!
//! A problem is made where it is noticed and written here. What is not meant for a client, say the text of
//! a panic or a cause within the store, goes to the log, not into a problem.

mod commands;
mod kind;
mod pages;
mod reads;

pub use kind::ProblemKind;
pub(crate) use pages::page;

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use kronika_core::{HistoryDiverged, StreamIdError, Version};
use serde_json::{Map, Value};
use std::time::Duration;

pub(crate) use commands::command_problem;
pub(crate) use reads::read_problem;

/// Why a request has no answer, in the form that clients may rely on. Application queries may answer with
/// it too, so that a service speaks of its problems in one way.
///
/// ```
/// use axum::http::StatusCode;
/// use kronika_http::{Problem, ProblemKind};
///
/// async fn auction() -> Result<String, Problem> {
///     let detail = "there is no auction \"a7\"";
///     Err(Problem::new(ProblemKind::NotFound, StatusCode::NOT_FOUND, detail))
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    kind: ProblemKind,
    status: StatusCode,
    detail: String,
    fields: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem with what happened this time, in a sentence that a client may be shown.
    pub fn new(kind: ProblemKind, status: StatusCode, detail: impl Into<String>) -> Self {
        let (fields, headers) = (Map::new(), HeaderMap::new());
        Self(Box::new(Parts { kind, status, detail: detail.into(), fields, headers }))
    }

    /// One more member of the problem object.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.fields.insert(name.to_owned(), value.into());
        self
    }

    /// When to come back, in whole seconds, at least one.
    pub fn retry_after(mut self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.0.headers.insert(RETRY_AFTER, number(seconds));
        self
    }

    /// Which kind of problem it is.
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// The HTTP status that it is told with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn newest(mut self, newest: Version) -> Self {
        if newest > Version::ZERO {
            self.0.headers.insert(ETAG, etag(newest));
        }
        self.with("newest", newest.get())
    }

    pub(crate) fn bad_body(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadBody, status, detail)
    }

    pub(crate) fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadParameter, StatusCode::BAD_REQUEST, detail)
            .with("parameter", name)
    }

    pub(crate) fn bad_id(error: &StreamIdError) -> Self {
        Self::new(ProblemKind::BadId, StatusCode::BAD_REQUEST, error.to_string())
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn overloaded(what: &str, after: Duration) -> Self {
        let detail = format!("too much is waiting: {what}; nothing was done");
        Self::new(ProblemKind::Overloaded, StatusCode::TOO_MANY_REQUESTS, detail).retry_after(after)
    }

    pub(crate) fn unavailable(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self::new(kind, StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(SOON)
    }

    pub(crate) fn internal(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self::new(kind, StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// The members that every problem has, and those of this one.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = self.0.fields.clone();
        object.insert("type".into(), format!("/problems/{}", self.0.kind.name()).into());
        object.insert("title".into(), self.0.kind.title().into());
        object.insert("status".into(), self.0.status.as_u16().into());
        object.insert("detail".into(), self.0.detail.clone().into());
        Value::Object(object)
    }
}

/// When to try again what only needs a moment.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// A version as an entity tag.
pub(crate) fn etag(version: Version) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header value")
}

fn number(number: impl std::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(number.to_string()).expect("digits are a header value")
}

impl From<HistoryDiverged> for Problem {
    fn from(diverged: HistoryDiverged) -> Self {
        let detail = format!("{diverged}; what was seen there may never have happened here");
        Self::new(ProblemKind::HistoryDiverged, StatusCode::CONFLICT, detail)
            .with("incarnation", diverged.ours.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
