//! Queries whose answers come again when the rows change, and what a parked key does to answers.

use crate::{
    domain::{Account, AccountEvent},
    feed::Reader,
    support::{Ask, Fixture},
};
use axum::{
    Json,
    extract::Path,
    http::{HeaderValue, StatusCode},
};
use kronika_core::{
    About, Act, By, Folded, KeyText, On, ParkedRequest, Projection, ProjectionName, Value,
};
use kronika_http::{HttpLimits, Problem, ProblemKind, Query};
use kronika_macros::Row;
use kronika_testkit::MemoryReadModels;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Balances by account; deposits of 13 cents are refused until it is mended.
#[derive(Clone, Default)]
struct Balances {
    is_mended: Arc<AtomicBool>,
}

#[derive(Row)]
struct Balance {
    cents: i64,
}

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Key = String;
    type Row = Balance;
    type Follows = (Account,);
}

impl On<Account> for Balances {
    fn keys(&self, _: &AccountEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(
        &self,
        row: &mut Option<Balance>,
        _: &String,
        event: &AccountEvent,
        _: &About<'_>,
    ) -> Folded {
        let balance = row.get_or_insert(Balance { cents: 0 });
        if let AccountEvent::Deposited { cents } = event {
            if *cents == 13 && !self.is_mended.load(Ordering::Relaxed) {
                Err("it brings bad luck")?;
            }
            balance.cents += i64::from(*cents);
        }
        Ok(())
    }
}

fn cents(read_models: &MemoryReadModels, id: &str) -> Option<i64> {
    let row = read_models.live_row("balances", &[Value::Text(id.to_owned())])?;
    match row[..] {
        [Value::Integer(cents)] => Some(cents),
        ref other => panic!("{other:?}"),
    }
}

async fn service(projection: Balances) -> Fixture {
    let mut limits = HttpLimits::default();
    limits.feeds = 2;
    Fixture::keeping(projection, |service, read_models| {
        let (one, all) = (read_models.clone(), read_models.clone());
        let balance = async move |Path(id): Path<String>| match cents(&one, &id) {
            Some(cents) => Ok(Json(json!({"cents": cents}))),
            None => {
                let detail = "there is no such balance";
                Err(Problem::new(ProblemKind::NotFound, StatusCode::NOT_FOUND, detail))
            }
        };
        let sum = async move || {
            let sum: i64 = ["a1", "a2"].iter().filter_map(|id| cents(&all, id)).sum();
            Json(json!({"sum": sum}))
        };
        service
            .limits(limits)
            .query(Query::get("/balances/{id}", balance).waits_for(["balances"]).key(["id"]).live())
            .query(Query::get("/sum", sum).waits_for(["balances"]).live())
            .query(Query::get("/still", async || "still").waits_for(["balances"]))
    })
    .await
}

async fn deposit(service: &Fixture, id: &str, cents: i64) {
    let path = format!("/account/{id}/deposit");
    service.post(&path, json!({"cents": cents})).await.is(StatusCode::OK);
}

async fn told(reader: &mut Reader) -> (String, serde_json::Value) {
    let told = tokio::time::timeout(Duration::from_secs(60), reader.next()).await;
    let told = told.expect("it is told in time").expect("the feed goes on");
    let data = if told.kind.is_empty() { told.data } else { json!(told.kind) };
    (told.id, data)
}

#[tokio::test]
async fn a_live_query_is_answered_again_when_its_key_changes() {
    let service = service(Balances::default()).await;
    let mut reader = Reader::open(&service, Ask::get("/balances/a1")).await;
    assert_eq!(told(&mut reader).await.1, json!("gone"), "there is no such row yet");
    service.account("a1", 0).await;
    assert_eq!(told(&mut reader).await.1, json!({"cents": 0}));
    service.account("a2", 3).await;
    deposit(&service, "a1", 5).await;
    assert_eq!(told(&mut reader).await.1, json!({"cents": 5}), "nothing is told of others");
    let mut all = Reader::open(&service, Ask::get("/sum")).await;
    assert_eq!(told(&mut all).await.1, json!({"sum": 8}));
    deposit(&service, "a2", 2).await;
    assert_eq!(told(&mut all).await.1, json!({"sum": 10}));
    let refused = Ask::get("/sum").header("accept", "text/event-stream").of(&service).await;
    refused.problem(429, "overloaded");
    let plain = Ask::get("/still").header("accept", "text/event-stream").of(&service).await;
    assert_eq!(plain.header("content-type"), "text/plain; charset=utf-8", "it is not live");
}

/// It is never shown less than it has seen, and always what is now.
#[tokio::test]
async fn a_client_that_comes_again_goes_on_from_what_it_has_seen() {
    let service = service(Balances::default()).await;
    service.account("a1", 1).await;
    let mut reader = Reader::open(&service, Ask::get("/balances/a1")).await;
    let mut id = String::new();
    for expected in 2..5 {
        deposit(&service, "a1", 1).await;
        while told(&mut reader).await.1 != json!({"cents": expected}) {}
    }
    deposit(&service, "a1", 1).await;
    while id.is_empty() {
        let (seen, data) = told(&mut reader).await;
        if data == json!({"cents": 5}) {
            id = seen;
        }
    }
    drop(reader);
    deposit(&service, "a1", 1).await;
    let ask = Ask::get("/balances/a1").header("last-event-id", &id);
    let mut reader = Reader::open(&service, ask).await;
    while told(&mut reader).await.1 != json!({"cents": 6}) {}
    let ask = || Ask::get("/balances/a1").header("accept", "text/event-stream");
    let wrong = ask().header("last-event-id", "17").of(&service).await;
    wrong.problem(400, "bad-parameter");
    let strange = ask().header("last-event-id", "k1.7").of(&service).await;
    strange.problem(409, "history-diverged");
}

#[tokio::test]
async fn answers_say_what_is_parked_and_waiting_for_it_is_refused() {
    let projection = Balances::default();
    let service = service(projection.clone()).await;
    service.account("a1", 1).await;
    service.account("a2", 1).await;
    let bad = service.post("/account/a1/deposit", json!({"cents": 13})).await;
    let token = bad.is(StatusCode::OK).header("kronika-position").to_owned();
    let ask = |path: &str| Ask::get(path).header("kronika-position", &token);
    let problem = ask("/balances/a1").of(&service).await.problem(409, "parked");
    assert_eq!(problem["projection"], "balances");
    let other = ask("/balances/a2").of(&service).await.is(StatusCode::OK);
    assert_eq!(other.json(), json!({"cents": 1}));
    let parked = |response: &axum::response::Response| {
        response.headers().get("kronika-parked").map(HeaderValue::as_bytes).map(<[u8]>::to_vec)
    };
    assert_eq!(parked(&ask("/balances/a2").response(&service).await), None);
    assert_eq!(parked(&ask("/sum").response(&service).await), Some(b"1".to_vec()));
    let without_token = Ask::get("/balances/a1").response(&service).await;
    assert_eq!(without_token.status(), StatusCode::OK);
    assert_eq!(parked(&without_token), Some(b"1".to_vec()));
    projection.is_mended.store(true, Ordering::Relaxed);
    let projections = service.kronika.projections();
    let (name, key) = (ProjectionName::new("balances").unwrap(), KeyText::new("a1").unwrap());
    let id = projections.status()[0].id();
    assert_eq!(id.name, name);
    let retry = Act::Parked(id, key, ParkedRequest::Retry);
    projections.act(retry, By::new("ann", "it is mended")).await.unwrap();
    let mut watch = projections.watch("balances").unwrap();
    watch.wait_for(|status| status.parked.is_empty()).await.unwrap();
    let mended = ask("/balances/a1").of(&service).await.is(StatusCode::OK);
    assert_eq!(mended.json(), json!({"cents": 14}));
}
