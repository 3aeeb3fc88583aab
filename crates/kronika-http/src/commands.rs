//! `POST /{type}/{id}/{command}` and `POST /{type}`: a command in, a receipt out.

use crate::{
    body,
    creating::derived_seed,
    headers::{
        POSITION, check_history, expected_version, idempotency_key, origin, position,
        position_value, wait,
    },
    problem::{Problem, ProblemKind, command_problem, etag},
    shared::Shared,
};
use axum::{
    body::Body,
    extract::{OriginalUri, Request},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, LOCATION},
    },
    response::Response,
};
use bytes::Bytes;
use kronika_runtime::{CommandOptions, DynAggregates, EncodedAnswer, ExpectedVersion, Receipt};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// A command of one aggregate type, as a route holds it.
#[derive(Clone)]
pub(crate) struct CommandRoute {
    pub shared: Arc<Shared>,
    pub aggregates: Arc<dyn DynAggregates>,
    pub command: &'static str,
}

impl CommandRoute {
    /// To an aggregate that the path names.
    pub async fn send(self, id: String, request: Request) -> Result<Response, Problem> {
        let (options, body) = self.read(request).await?;
        let receipt = self.answer(&id, options, body).await?;
        Ok(answered(receipt, StatusCode::OK))
    }

    /// To a new aggregate, whose id is made here. It must be new: a made id that is taken is no command to
    /// whoever took it.
    pub async fn create(self, request: Request) -> Result<Response, Problem> {
        let here = request.extensions().get::<OriginalUri>().map(|uri| uri.path().to_owned());
        let (mut options, body) = self.read(request).await?;
        let aggregate_type = self.aggregates.aggregate_type();
        let seed = match &options.idempotency_key {
            Some(key) => derived_seed(aggregate_type, options.origin.principal.as_deref(), key),
            None => self.shared.seeds.fresh(),
        };
        let id = self.aggregates.make_id(seed).expect("routed only with a creating command");
        options.expected_version.get_or_insert(ExpectedVersion::New);
        let receipt = self.answer(&id, options, body).await?;
        let mut response = answered(receipt, StatusCode::CREATED);
        let here = here.unwrap_or_else(|| format!("/{aggregate_type}"));
        let location = format!("{}/{}", here.trim_end_matches('/'), percent_encoded(&id));
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    /// Headers first, then the body, then the history: cheap refusals before dear ones.
    async fn read(&self, request: Request) -> Result<(CommandOptions, Bytes), Problem> {
        let deadline = Instant::now() + self.shared.limits.command_time;
        let (parts, body) = request.into_parts();
        let mut options = CommandOptions::default();
        options.deadline = Some(deadline);
        options.idempotency_key = idempotency_key(&parts.headers)?;
        options.expected_version = expected_version(&parts.headers)?;
        options.origin = origin(&parts.extensions, &parts.headers);
        let (token, wait) = (position(&parts.headers)?, wait(&parts.headers)?);
        let body =
            timeout_at(deadline, body::read(&parts.headers, body, &self.shared.limits)).await;
        let body = body.unwrap_or_else(|_| {
            let detail = "the body did not arrive in time; nothing was recorded";
            Err(Problem::unavailable(ProblemKind::Deadline, detail))
        })?;
        if let Some(token) = token {
            let until = deadline.min(Instant::now() + wait);
            check_history(self.shared.journal(), &token, until, &self.shared.standing()).await?;
        }
        Ok((options, body))
    }

    async fn answer(
        &self,
        id: &str,
        options: CommandOptions,
        body: Bytes,
    ) -> Result<Receipt<Vec<u8>>, Problem> {
        let answer: EncodedAnswer = self.aggregates.send(id, self.command, &body, options).await;
        answer.map_err(|error| command_problem(error, &body, &self.shared.standing()))
    }
}

/// JSON with version and token, as commands and states are told.
pub(crate) fn answered(receipt: Receipt<Vec<u8>>, status: StatusCode) -> Response {
    let Receipt { reply, version, token, replayed } = receipt;
    let mut response = json(reply);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(POSITION, position_value(&token));
    headers.insert(ETAG, etag(version));
    if replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// JSON that is written already.
pub(crate) fn json(bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An id as a segment of a path: all but unreserved characters are encoded.
fn percent_encoded(id: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    id.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_one_segment() {
        assert_eq!(percent_encoded("a1-._~"), "a1-._~");
        assert_eq!(percent_encoded("a/b ü%"), "a%2Fb%20%C3%BC%25");
    }
}
