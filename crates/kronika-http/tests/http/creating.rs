//! `POST /{type}`: the service makes the id.

use crate::support::{Ask, Fixture};
use axum::{Router, http::StatusCode};
use kronika_core::Origin;
use serde_json::json;

fn open() -> Ask {
    Ask::post("/account").json(&json!({"owner": "ann"}))
}

#[tokio::test]
async fn a_new_aggregate_is_told_by_its_location() {
    let service = Fixture::new().await;
    let made = open().of(&service).await.is(StatusCode::CREATED);
    assert!(made.header("location").starts_with("/account/made%2F"), "{made:?}");
    assert_eq!(made.header("etag"), "\"1\"");
    let state = service.get(made.header("location")).await.is(StatusCode::OK);
    assert_eq!(state.json()["owner"], "ann");
    let other = open().of(&service).await.is(StatusCode::CREATED);
    assert_ne!(other.header("location"), made.header("location"));
}

#[tokio::test]
async fn a_creation_sent_again_creates_nothing() {
    let service = Fixture::new().await;
    let keyed = || open().header("idempotency-key", "k1");
    let first = keyed().of(&service).await.is(StatusCode::CREATED);
    let again = keyed().of(&service).await.is(StatusCode::CREATED);
    assert_eq!(again.header("idempotent-replayed"), "true");
    for name in ["location", "etag", "kronika-position"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    let events = service.get("/events").await.json();
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let other = Ask::post("/account").json(&json!({"owner": "bob"}));
    other.header("idempotency-key", "k1").of(&service).await.problem(422, "key-reused");
}

#[tokio::test]
async fn the_same_key_of_another_principal_makes_another_aggregate() {
    let service = Fixture::new().await;
    let mut locations = Vec::new();
    for principal in [None, Some("ann"), Some("bob")] {
        let origin = Origin { principal: principal.map(str::to_owned), ..Origin::default() };
        let keyed = open().header("idempotency-key", "k1").extension(origin);
        let made = keyed.of(&service).await.is(StatusCode::CREATED);
        locations.push(made.header("location").to_owned());
    }
    locations.dedup();
    assert_eq!(locations.len(), 3);
}

#[tokio::test]
async fn a_location_holds_where_the_router_is_nested() {
    let mut service = Fixture::new().await;
    service.router = Router::new().nest("/x/api", service.router);
    let made = Ask::post("/x/api/account").json(&json!({"owner": "ann"})).of(&service).await;
    assert!(made.header("location").starts_with("/x/api/account/made%2F"), "{made:?}");
    service.get(made.header("location")).await.is(StatusCode::OK);
}
