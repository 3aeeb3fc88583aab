//! What goes wrong behind a command, row by row of the table.

use crate::support::{Ask, Fixture};
use axum::http::StatusCode;
use kronika_core::{NewEvent, SliceRange, StreamId};
use kronika_http::HttpLimits;
use kronika_runtime::Limits;
use kronika_testkit::{Fault, MemoryJournal, MemorySettings, Plan, ReadFault};
use serde_json::json;
use std::time::Duration;

fn stream(id: &str) -> StreamId {
    StreamId::new("account", id).unwrap()
}

fn event(name: &'static str, schema: u32) -> NewEvent {
    NewEvent { name: name.into(), schema, body: "{}".into(), ..NewEvent::default() }
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_command() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    service.post("/account/a1/explode", json!({})).await.problem(500, "panicked");
    let after = service.post("/account/a1/deposit", json!({"cents": 1})).await;
    assert_eq!(after.is(StatusCode::OK).header("etag"), "\"2\"");
}

#[tokio::test]
async fn an_aggregate_that_cannot_be_loaded_is_named() {
    let service = Fixture::new().await;
    let check = async |id: &str, event: NewEvent| {
        service.account(id, 0).await;
        let journal = service.journal.clone();
        journal.write_as_stranger(&stream(id), vec![event]);
        let fresh = Fixture::on(journal.reopen(), Limits::default(), |service| service).await;
        for answer in [
            fresh.get(&format!("/account/{id}")).await,
            fresh.post(&format!("/account/{id}/deposit"), json!({"cents": 1})).await,
        ] {
            let problem = answer.problem(500, "not-loadable");
            assert_eq!(problem["stream"], format!("account/{id}"));
            assert_eq!(problem["version"], 2);
        }
        fresh
    };
    let fresh = check("a1", event("cursed", 1)).await;
    fresh.get("/account/a1?version=1").await.is(StatusCode::OK);
    fresh.get("/account/a1/events").await.is(StatusCode::OK);
}

#[tokio::test]
async fn an_event_of_a_newer_build_is_not_guessed_at() {
    let service = Fixture::new().await;
    service.journal.write_as_stranger(&stream("a1"), vec![event("opened", 7)]);
    service.journal.write_as_stranger(&stream("a2"), vec![event("frozen", 1)]);
    service.get("/account/a1").await.problem(500, "not-loadable");
    service.get("/account/a2").await.problem(500, "not-loadable");
}

#[tokio::test]
async fn a_decision_beyond_the_limits_is_refused() {
    let service = Fixture::new().await;
    service.post("/account/a1/flood", json!({})).await.problem(422, "too-large");
}

#[tokio::test]
async fn another_owner_makes_it_unavailable() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    service.journal.claim_as_stranger(SliceRange::ALL);
    let deposit = json!({"cents": 1});
    service.post("/account/a1/deposit", deposit).await.problem(503, "unavailable");
    service.get("/account/a1").await.problem(503, "unavailable");
    let ready = service.get("/health/ready").await.is(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["reasons"][0]["name"], "not-owner");
}

#[tokio::test]
async fn a_service_that_stops_is_unavailable() {
    let service = Fixture::new().await;
    service.kronika.stop().await;
    service.post("/account/a1/touch", json!({})).await.problem(503, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_leaves_the_outcome_open_and_then_refuses() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    service.get("/health/ready").await.is(StatusCode::OK);
    service.journal.fail_append(1, Fault::FailedWrite);
    let deposit = || service.post("/account/a1/deposit", json!({"cents": 1}));
    deposit().await.problem(504, "journal-failed");
    deposit().await.problem(503, "journal-failed");
    let ready = service.get("/health/ready").await.is(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["reasons"][0]["name"], "journal-failed");
    assert!(ready.headers.contains_key("retry-after"));
    service.get("/health/live").await.is(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_decision_records_nothing() {
    let service = Fixture::new().await;
    service.journal.fail_read(1, ReadFault::Slow(Duration::from_secs(60)));
    let open = json!({"owner": "ann"});
    service.post("/account/a1/open", open).await.problem(503, "deadline");
    tokio::time::sleep(Duration::from_secs(100)).await;
    service.get("/account/a1").await.problem(404, "not-found");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_after_the_decision_leaves_the_outcome_open() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    service
        .journal
        .set_plan(Plan { answer_within: Duration::from_secs(100_000), ..Plan::default() });
    let deposit = || {
        let ask = Ask::post("/account/a1/deposit").json(&json!({"cents": 1}));
        ask.header("idempotency-key", "k1").of(&service)
    };
    deposit().await.problem(504, "unknown-outcome");
    service.journal.set_plan(Plan::default());
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    let told = deposit().await.is(StatusCode::OK);
    assert_eq!(told.header("idempotent-replayed"), "true");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_takes_too_long_is_not_waited_for() {
    let service = Fixture::new().await;
    service.journal.fail_read(1, ReadFault::Slow(Duration::from_secs(60)));
    service.get("/account/a1").await.problem(503, "deadline");
}

#[tokio::test(start_paused = true)]
async fn too_many_commands_for_one_aggregate_are_refused() {
    let plan = Plan { effect_within: Duration::from_secs(1), ..Plan::default() };
    let journal = MemoryJournal::open(MemorySettings { plan, ..MemorySettings::default() });
    let mut limits = Limits::default();
    limits.pending_commands = 2;
    let service = Fixture::on(journal, limits, |service| service).await;
    let open = || service.post("/account/a1/open", json!({"owner": "ann"}));
    let answers = futures_util::future::join_all((0..4).map(|_| open())).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
    answers[3].problem(429, "overloaded");
}

#[tokio::test]
async fn too_many_requests_are_refused_but_not_those_of_operators() {
    let mut limits = HttpLimits::default();
    limits.requests = 0;
    let service = Fixture::with(|service| service.limits(limits)).await;
    service.post("/account/a1/touch", json!({})).await.problem(429, "overloaded");
    service.get("/events").await.problem(429, "overloaded");
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/problems/rejected"]
    {
        service.get(path).await.is(StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_makes_it_unavailable() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    service.journal.set_plan(Plan { read_unavailable: 1.0, ..Plan::default() });
    service.get("/events").await.problem(503, "unavailable");
    service.get("/account/a1/events").await.problem(503, "unavailable");
    service.get("/account/a1?version=1").await.problem(503, "unavailable");
}
