//! The application's own routes.

use crate::support::{Ask, Fixture};
use axum::{
    Json,
    extract::{Path, Query as Parameters},
    http::{Method, StatusCode},
    routing::post,
};
use kronika_core::{BoxFuture, Incarnation, Mark, Position, Token};
use kronika_http::{HttpLimits, Problem, ProblemKind, Query, ReadModelStatus, ReadModels, Waited};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Answers waiting as it is told; one that is late waits until the end of the time.
struct Told(Waited);

impl ReadModels for Told {
    fn wait_for<'a>(
        &'a self,
        names: &'a [String],
        _: &'a Token,
        until: Instant,
    ) -> BoxFuture<'a, Waited> {
        assert_eq!(names, ["balances"]);
        Box::pin(async move {
            if self.0 == Waited::Late {
                tokio::time::sleep_until(until).await;
            }
            self.0.clone()
        })
    }

    fn status(&self) -> Vec<ReadModelStatus> {
        let failed = matches!(self.0, Waited::Failed { .. });
        vec![ReadModelStatus {
            name: "balances".into(),
            state: if failed { "failed" } else { "running" },
            failed,
            seen: seen(),
            events: 12,
            lag_events: 3,
            lag: Duration::from_millis(1500),
            parked_keys: 0,
        }]
    }
}

fn seen() -> Token {
    let mark = Mark { position: Position::new(17), ..Mark::default() };
    Token::of(Incarnation::new(1), mark)
}

async fn answer(
    Path(owner): Path<String>,
    Parameters(more): Parameters<HashMap<String, u32>>,
) -> Json<Value> {
    Json(json!({"owner": owner, "more": more}))
}

async fn wrong() -> Result<(), Problem> {
    let detail = "no balance";
    Err(Problem::new(ProblemKind::NotFound, StatusCode::NOT_FOUND, detail).with("owner", "ann"))
}

async fn panics() {
    panic!("a secret of the query")
}

async fn with(waited: Waited) -> Fixture {
    let mut limits = HttpLimits::default();
    limits.body_bytes = 100;
    Fixture::with(|service| {
        service
            .limits(limits)
            .read_models(Arc::new(Told(waited)))
            .query(Query::get("/balances/{owner}", answer).waits_for(["balances"]))
            .query(Query::get("/wrong", wrong))
            .query(Query::get("/panics", panics))
            .query(Query::get("/bare", async || StatusCode::NOT_FOUND))
            .query(Query::get("/fails", async || (StatusCode::BAD_GATEWAY, "a secret address")))
            .query(Query::get("/hangs", std::future::pending::<()>))
            .query(Query::routed("/search", post(async |body: Json<Value>| body)))
    })
    .await
}

/// A query with the token of something written before.
async fn ask(service: &Fixture, prefer: &str) -> crate::support::Answer {
    let token = service.account("a1", 0).await.header("kronika-position").to_owned();
    let ask = Ask::get("/balances/ann").header("kronika-position", token);
    ask.header("prefer", prefer).of(service).await
}

#[tokio::test]
async fn a_query_is_answered_once_its_read_models_are_there() {
    let service = with(Waited::There { parked: 0 }).await;
    let answer = ask(&service, "wait=1").await.is(StatusCode::OK);
    assert_eq!(answer.json()["owner"], "ann");
    assert!(!answer.headers.contains_key("kronika-parked"));
    service.get("/balances/ann").await.is(StatusCode::OK);
}

#[tokio::test]
async fn parked_keys_are_told_with_the_answer() {
    let service = with(Waited::There { parked: 3 }).await;
    assert_eq!(ask(&service, "").await.is(StatusCode::OK).header("kronika-parked"), "3");
}

#[tokio::test(start_paused = true)]
async fn a_query_waits_as_long_as_is_preferred() {
    let service = with(Waited::Late).await;
    for (prefer, seconds) in [("", 5), ("wait=2", 2), ("wait=0", 0), ("wait=500", 60)] {
        let begin = Instant::now();
        ask(&service, prefer).await.problem(503, "not-yet");
        assert_eq!(begin.elapsed().as_secs(), seconds, "{prefer}");
    }
    assert_eq!(ask(&service, "wait=x").await.problem(400, "bad-parameter")["parameter"], "Prefer");
}

#[tokio::test]
async fn waiting_in_vain_is_told_as_what_it_is() {
    ask(&with(Waited::Parked).await, "").await.problem(409, "parked");
    ask(&with(Waited::Diverged).await, "").await.problem(409, "history-diverged");
    let failed = with(Waited::Failed { projection: "balances".into() }).await;
    assert_eq!(ask(&failed, "").await.problem(503, "unavailable")["projection"], "balances");
    let ready = failed.get("/health/ready").await.is(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["reasons"][0]["projection"], "balances");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_history_or_beyond_the_head_is_noticed_by_queries() {
    let service = with(Waited::There { parked: 0 }).await;
    let get = |token: &str| Ask::get("/balances/ann").header("kronika-position", token);
    get("k1.9").of(&service).await.problem(409, "history-diverged");
    get("x").of(&service).await.problem(400, "bad-parameter");
    let token = service.account("a1", 0).await.header("kronika-position").to_owned();
    let beyond = token.replace(".0-1-", ".0-2-");
    get(&beyond).of(&service).await.problem(503, "not-yet");
}

#[tokio::test]
async fn refusals_of_queries_are_problems_too() {
    let service = with(Waited::There { parked: 0 }).await;
    let problem = service.get("/balances/ann?min=x").await.problem(400, "bad-parameter");
    assert!(problem["detail"].as_str().unwrap().contains("min"), "{problem}");
    assert_eq!(service.get("/wrong").await.problem(404, "not-found")["owner"], "ann");
    service.get("/bare").await.problem(404, "not-found");
    let failed = service.get("/fails").await;
    assert_eq!(failed.problem(502, "failed")["detail"], "bad gateway");
    service.post("/search", json!("x".repeat(200))).await.problem(413, "bad-body");
    Ask::post("/search").body("{}").of(&service).await.problem(415, "bad-body");
    let allow = Ask::new(Method::DELETE, "/search").of(&service).await;
    allow.problem(405, "method-not-allowed");
    assert_eq!(allow.header("allow"), "POST");
}

#[tokio::test]
async fn a_query_that_panics_costs_its_request() {
    let service = with(Waited::There { parked: 0 }).await;
    service.get("/panics").await.problem(500, "panicked");
    service.get("/balances/ann").await.is(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_hangs_is_given_up() {
    let service = with(Waited::There { parked: 0 }).await;
    let begin = Instant::now();
    service.get("/hangs").await.problem(503, "deadline");
    assert_eq!(begin.elapsed(), Duration::from_secs(90));
}

#[tokio::test]
async fn figures_tell_how_far_projections_are() {
    let service = with(Waited::There { parked: 0 }).await;
    let figures = service.get("/metrics").await.is(StatusCode::OK);
    let text = std::str::from_utf8(&figures.body).unwrap();
    for line in [
        "kronika_projection_position{projection=\"balances\",partition=\"0\"} 17",
        "kronika_projection_events_total{projection=\"balances\"} 12",
        "kronika_projection_lag_events{projection=\"balances\"} 3",
        "kronika_projection_lag_seconds{projection=\"balances\"} 1.5",
        "kronika_projection_state{projection=\"balances\",state=\"running\"} 1",
        "kronika_projection_failed{projection=\"balances\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}
