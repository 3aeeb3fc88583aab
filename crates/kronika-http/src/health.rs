//! `GET /health/live` and `GET /health/ready`: whether the process runs, and whether it should be asked.

use crate::{problem::SOON, serve::Draining, shared::Shared};
use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use kronika_runtime::{ProjectionState, Standing};
use serde_json::json;

/// As long as the process runs: a failed journal is cured by a new start, which the process asks for itself.
pub(crate) async fn live() -> Response {
    Json(json!({"status": "live"})).into_response()
}

/// Whether this process may write, reads its journal, and none of its projections has failed.
pub(crate) fn ready(shared: &Shared, request: &Request) -> Response {
    let reasons = reasons(shared, request);
    if reasons.is_empty() {
        return Json(json!({"status": "ready"})).into_response();
    }
    let body = Json(json!({"status": "not-ready", "reasons": reasons}));
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(SOON.as_secs()));
    response
}

fn reasons(shared: &Shared, request: &Request) -> Vec<serde_json::Value> {
    let mut reasons = Vec::new();
    match shared.standing() {
        Standing::Owner => {}
        Standing::Lost => {
            let detail = "another writer has claimed the journal";
            reasons.push(json!({"name": "not-owner", "detail": detail}));
        }
        Standing::Failed(_) => {
            let detail = "the journal has failed and must be opened anew";
            reasons.push(json!({"name": "journal-failed", "detail": detail}));
        }
        _ => reasons.push(json!({"name": "not-owner", "detail": "this process may not write"})),
    }
    let projections = shared.kronika.projections().status();
    for failed in projections.iter().filter(|it| it.state == ProjectionState::Failed) {
        let name = failed.name.as_str();
        let detail = format!("projection {name} does not go on");
        reasons.push(json!({"name": "projection-failed", "projection": name, "detail": detail}));
    }
    if request.extensions().get::<Draining>().is_some_and(Draining::has_begun) {
        reasons.push(json!({"name": "stopping", "detail": "the service is shutting down"}));
    }
    reasons
}
