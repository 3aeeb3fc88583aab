//! `GET /{type}/{id}`.

use crate::support::{Ask, Fixture};
use axum::http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_state_is_told_with_version_and_token() {
    let service = Fixture::new().await;
    let written = service.account("a1", 2).await;
    let state = service.get("/account/a1").await.is(StatusCode::OK);
    assert_eq!(state.json(), json!({"owner": "ann", "cents": 2}));
    assert_eq!(state.header("etag"), "\"3\"");
    assert_eq!(state.header("kronika-position"), written.header("kronika-position"));
    assert_eq!(state.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn a_state_is_told_as_it_was() {
    let service = Fixture::new().await;
    service.account("a1", 2).await;
    let then = service.get("/account/a1?version=2").await.is(StatusCode::OK);
    assert_eq!((then.json()["cents"].as_i64(), then.header("etag")), (Some(1), "\"2\""));
    let first = service.get("/account/a1?version=1").await.is(StatusCode::OK);
    assert_eq!(first.json()["cents"], 0);
    for version in ["0", "4", "99999999999999999999999"] {
        let path = format!("/account/a1?version={version}");
        service.get(&path).await.problem(404, "not-found");
    }
    for version in ["", "-1", "x", "1.0", "%20", "1&version=2"] {
        let problem = service.get(&format!("/account/a1?version={version}")).await;
        assert_eq!(problem.problem(400, "bad-parameter")["parameter"], "version");
    }
}

#[tokio::test]
async fn an_aggregate_without_events_is_not_found() {
    let service = Fixture::new().await;
    service.post("/account/a1/touch", json!({})).await.is(StatusCode::OK);
    service.get("/account/a1").await.problem(404, "not-found");
    service.get("/account/a1?version=1").await.problem(404, "not-found");
    service.get("/account/a1/events").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_state_that_is_known_is_not_sent_again() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let get = |tag: &str| Ask::get("/account/a1").header("if-none-match", tag);
    let same = get("\"1\"").of(&service).await.is(StatusCode::NOT_MODIFIED);
    assert_eq!((same.body.len(), same.header("etag")), (0, "\"1\""));
    get("\"2\"").of(&service).await.is(StatusCode::OK);
}

#[tokio::test]
async fn a_reader_notices_another_history() {
    let service = Fixture::new().await;
    let token = service.account("a1", 0).await.header("kronika-position").to_owned();
    for path in ["/account/a1", "/account/a1/events", "/events"] {
        let get = |token: &str| Ask::get(path).header("kronika-position", token);
        get(&token).of(&service).await.is(StatusCode::OK);
        get("k1.9").of(&service).await.problem(409, "history-diverged");
    }
}
