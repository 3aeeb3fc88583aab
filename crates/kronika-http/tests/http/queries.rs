//! The application's own routes.

use crate::support::{Ask, Fixture};
use axum::{
    Json,
    extract::{Path, Query as Parameters},
    http::{Method, StatusCode},
    routing::post,
};
use kronika_core::{
    Batch, BatchError, BatchProjection, BoxFuture, Decoded, EventFailure, Generation, Incarnation,
    OpenReadModelError, Opened, Order, ProjectionName, ReadModelSpec, SharedReadModelStore, Tables,
    Takeover, Written,
};
use kronika_http::{HttpLimits, Problem, ProblemKind, Query};
use kronika_runtime::RegisteredProjection;
use kronika_testkit::MemoryReadModels;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// What a projection does with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bent {
    Follows,
    Hangs,
    Fails,
    /// Its read model is of another history.
    Strange,
}

struct Balances {
    spec: ReadModelSpec,
    store: SharedReadModelStore,
    bent: Bent,
}

impl BatchProjection for Balances {
    fn spec(&self) -> &ReadModelSpec {
        &self.spec
    }
    fn store(&self) -> SharedReadModelStore {
        self.store.clone()
    }
    fn another(&self) -> Box<dyn BatchProjection> {
        let (spec, store) = (self.spec.clone(), self.store.clone());
        Box::new(Self { spec, store, bent: self.bent })
    }
    fn open(
        &mut self,
        run: u32,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Opened, OpenReadModelError>> {
        let strange = Incarnation::new(1);
        let incarnation = if self.bent == Bent::Strange { strange } else { takeover.incarnation };
        let takeover = Takeover { incarnation, ..takeover };
        self.store.open(self.spec.clone(), run, takeover)
    }
    fn write(
        &mut self,
        batch: Batch,
        _: Option<Decoded>,
    ) -> BoxFuture<'_, Result<Written, BatchError>> {
        let bent = self.bent;
        Box::pin(async move {
            match (bent, batch.events().first()) {
                (Bent::Hangs, _) => std::future::pending().await,
                (Bent::Fails, Some(event)) => {
                    let failure = EventFailure::of(event, "a secret of the read model");
                    Err(BatchError::Event(Box::new(failure)))
                }
                _ => Ok(Written::default()),
            }
        })
    }
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

async fn with(bent: Bent) -> Fixture {
    let spec = ReadModelSpec {
        name: ProjectionName::new("balances").unwrap(),
        generation: Generation::new(1),
        types: vec!["account".to_owned()],
        order: Order::Total,
        tables: Tables::Own(Vec::new()),
    };
    let balances = Balances { spec, store: Arc::new(MemoryReadModels::new()), bent };
    let mut limits = HttpLimits::default();
    limits.body_bytes = 100;
    Fixture::projecting(RegisteredProjection::batches(balances), |service| {
        service
            .limits(limits)
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
    let service = with(Bent::Follows).await;
    let answer = ask(&service, "wait=1").await.is(StatusCode::OK);
    assert_eq!(answer.json()["owner"], "ann");
    service.get("/balances/ann").await.is(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_query_waits_as_long_as_is_preferred() {
    let service = with(Bent::Hangs).await;
    for (prefer, seconds) in [("", 5), ("wait=2", 2), ("wait=0", 0), ("wait=500", 60)] {
        let begin = Instant::now();
        ask(&service, prefer).await.problem(503, "not-yet");
        assert_eq!(begin.elapsed().as_secs(), seconds, "{prefer}");
    }
    assert_eq!(ask(&service, "wait=x").await.problem(400, "bad-parameter")["parameter"], "Prefer");
}

#[tokio::test]
async fn waiting_in_vain_is_told_as_what_it_is() {
    let strange = with(Bent::Strange).await;
    ask(&strange, "").await.problem(409, "history-diverged");
    let failed = with(Bent::Fails).await;
    assert_eq!(ask(&failed, "").await.problem(503, "unavailable")["projection"], "balances");
    let ready = failed.get("/health/ready").await.is(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["reasons"][0]["projection"], "balances");
    assert!(!ready.json().to_string().contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_history_or_beyond_the_head_is_noticed_by_queries() {
    let service = with(Bent::Follows).await;
    let get = |token: &str| Ask::get("/balances/ann").header("kronika-position", token);
    get("k1.9").of(&service).await.problem(409, "history-diverged");
    get("x").of(&service).await.problem(400, "bad-parameter");
    let token = service.account("a1", 0).await.header("kronika-position").to_owned();
    let beyond = token.replace(".0-1-", ".0-2-");
    get(&beyond).of(&service).await.problem(503, "not-yet");
}

#[tokio::test]
async fn refusals_of_queries_are_problems_too() {
    let service = with(Bent::Follows).await;
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
    let service = with(Bent::Follows).await;
    service.get("/panics").await.problem(500, "panicked");
    service.get("/balances/ann").await.is(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_hangs_is_given_up() {
    let service = with(Bent::Follows).await;
    let begin = Instant::now();
    service.get("/hangs").await.problem(503, "deadline");
    assert_eq!(begin.elapsed(), Duration::from_secs(90));
}

#[tokio::test]
async fn figures_tell_how_far_projections_are() {
    let service = with(Bent::Follows).await;
    ask(&service, "").await.is(StatusCode::OK);
    let check = async |service: &Fixture, lines: &[&str]| {
        let figures = service.get("/metrics").await.is(StatusCode::OK);
        let text = std::str::from_utf8(&figures.body).unwrap();
        for line in lines {
            assert!(text.lines().any(|told| told == *line), "{line} is not in\n{text}");
        }
    };
    let there = [
        "kronika_projection_position{projection=\"balances\",partition=\"0\"} 1",
        "kronika_projection_events_total{projection=\"balances\"} 1",
        "kronika_projection_lag_events{projection=\"balances\"} 0",
        "kronika_projection_lag_seconds{projection=\"balances\"} 0.0",
        "kronika_projection_state{projection=\"balances\",state=\"running\"} 1",
        "kronika_projection_failed{projection=\"balances\"} 0",
    ];
    check(&service, &there).await;
    let failed = with(Bent::Fails).await;
    ask(&failed, "").await.problem(503, "unavailable");
    let stands = [
        "kronika_projection_lag_events{projection=\"balances\"} 1",
        "kronika_projection_state{projection=\"balances\",state=\"failed\"} 1",
        "kronika_projection_failed{projection=\"balances\"} 1",
    ];
    check(&failed, &stands).await;
}
