//! `GET /{type}/{id}`: the state, now or as it was at a version.

use crate::{
    commands::answered,
    headers::{check_history, is_known, position, wait},
    parameters::Parameters,
    problem::{Problem, ProblemKind, command_problem},
    shared::Shared,
};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::Response,
};
use kronika_core::Version;
use kronika_runtime::{CommandError, DynAggregates, EncodedRejection, EncodedState};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// The states of one aggregate type, as a route holds them.
#[derive(Clone)]
pub(crate) struct StateRoute {
    pub shared: Arc<Shared>,
    pub aggregates: Arc<dyn DynAggregates>,
}

impl StateRoute {
    pub async fn get(self, id: String, request: Request) -> Result<Response, Problem> {
        let version = Parameters::of(request.uri())?.version("version")?;
        let headers = request.headers().clone();
        drop(request); // its body is nobody's
        check_token(&self.shared, &headers).await?;
        let until = Instant::now() + self.shared.limits.command_time;
        let Ok(state) = timeout_at(until, self.read(&id, version)).await else {
            let detail = "the state could not be read in time";
            return Err(Problem::unavailable(ProblemKind::Deadline, detail));
        };
        let state = state?;
        let seen = state.version;
        let mut response = answered(state, StatusCode::OK);
        if is_known(&headers, seen) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = axum::body::Body::empty();
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }

    async fn read(&self, id: &str, version: Option<Version>) -> Result<EncodedState, Problem> {
        let problem = |error: CommandError<EncodedRejection>| {
            command_problem(error, &[], &self.shared.standing())
        };
        let name = || format!("{} {id:?}", self.aggregates.aggregate_type());
        let state = match version {
            None => Some(self.aggregates.state(id).await.map_err(problem)?),
            Some(version) => self.aggregates.state_at(id, version).await.map_err(problem)?,
        };
        match (state, version) {
            (Some(state), _) if state.version > Version::ZERO => Ok(state),
            (None, Some(version)) => {
                Err(Problem::not_found(format!("{} has no version {version}", name())))
            }
            _ => Err(Problem::not_found(format!("{} has no events", name()))),
        }
    }
}

/// A reader that hands in a token does not want to read of another history, or less than it knows.
pub(crate) async fn check_token(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(token) = position(headers)? else { return Ok(()) };
    let until = Instant::now() + wait(headers)?;
    check_history(shared.journal(), &token, until, &shared.standing()).await
}
