//! What operators are refused, and that nothing was done then.

use super::*;
use crate::support::Ask;
use axum::http::Method;

const COUNTS: &str = "/projections/counts";

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let operated = Operated::new().await;
    for path in [
        "/",
        "/nothing",
        "/projections/none",
        "/projections/No%20Name",
        "/projections/%FF",
        "/projections/none/parked",
        "/projections/counts/parked/none",
        "/projections/counts/parked?run=2",
        "/projections/counts/parked?generation=99999999999999",
    ] {
        operated.get(path).await.problem(404, "not-found");
    }
    let acts = [
        "none/pause",
        "none/rebuild",
        "counts/destroy",
        "counts/parked/none/retry",
        "counts/parked/none/destroy",
        "counts/parked/skip",
    ];
    for path in acts {
        let path = format!("/projections/{path}");
        operated.operators.post(&path, body(json!({}))).await.problem(404, "not-found");
    }
    let other = body(json!({"generation": 2}));
    operated
        .operators
        .post(&format!("{COUNTS}/rebuild"), other.clone())
        .await
        .problem(404, "not-found");
    operated.operators.post(&format!("{COUNTS}/drop"), other).await.problem(404, "not-found");
    assert_eq!(operated.get("/acts").await.json()["acts"], json!([]));
    // The pages of problems are there too.
    operated.get("/problems/refused").await.is(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_fit_name_the_field() {
    let operated = Operated::new().await;
    let check = async |act: &str, body: Value, pointer: &str| {
        let answer = operated.operators.post(&format!("{COUNTS}/{act}"), body.clone()).await;
        assert_eq!(answer.problem(422, "bad-body")["pointer"], pointer, "{act} {body}");
    };
    check("pause", json!({}), "/who").await;
    check("pause", json!({"who": "ann"}), "/why").await;
    check("pause", json!({"who": " ", "why": "x"}), "/who").await;
    check("pause", json!({"who": "ann", "why": 7}), "/why").await;
    check("pause", json!([]), "").await;
    check("pause", body(json!({"generaton": 1})), "/generaton").await;
    check("pause", body(json!({"a/b": 1})), "/a~1b").await;
    check("pause", body(json!({"generation": -1})), "/generation").await;
    check("pause", body(json!({"run": "1"})), "/run").await;
    check("pause", body(json!({"run": 1_u64 << 32})), "/run").await;
    check("pause", body(json!({"workers": 1})), "/workers").await;
    check("rebuild", body(json!({"run": 1})), "/run").await;
    check("rebuild", body(json!({"hold": "yes"})), "/hold").await;
    check("rebuild", body(json!({"events_per_second": 0})), "/events_per_second").await;
    check("throttle", body(json!({})), "/events_per_second").await;
    check("throttle", body(json!({"events_per_second": 0})), "/events_per_second").await;
    check("throttle", body(json!({"events_per_second": 1.5})), "/events_per_second").await;
    check("workers", body(json!({})), "/workers").await;
    check("workers", body(json!({"workers": 0})), "/workers").await;
    check("workers", body(json!({"workers": 65})), "/workers").await;
    check("parked/retry", json!({}), "/who").await;
    check("parked/b/skip", body(json!({"x": 1})), "/x").await;
    assert_eq!(operated.get("/acts").await.json()["acts"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_no_acts_are_refused() {
    let operated = Operated::new().await;
    let pause = format!("{COUNTS}/pause");
    let post = || Ask::post(&pause);
    let of = async |ask: Ask| ask.of(&operated.operators).await;
    of(post()).await.problem(422, "bad-body");
    of(post().body("{").header("content-type", "application/json")).await.problem(400, "bad-body");
    of(post().body("{}")).await.problem(415, "bad-body");
    of(post().body("{}").header("content-type", "text/plain")).await.problem(415, "bad-body");
    of(post().header("origin", "https://elsewhere")).await.problem(415, "bad-body");
    let large = json!({"who": "x".repeat(100_000)});
    of(post().json(&large)).await.problem(413, "bad-body");
    let got = operated.get(&pause).await;
    got.problem(405, "method-not-allowed");
    assert_eq!(got.header("allow"), "POST");
    of(Ask::new(Method::DELETE, COUNTS)).await.problem(405, "method-not-allowed");
    for query in
        ["parked?limit=0", "parked?limit=x", "parked?run=x", "parked/b?after=x", "parked?after="]
    {
        operated.get(&format!("{COUNTS}/{query}")).await.problem(400, "bad-parameter");
    }
    assert_eq!(operated.get("/acts").await.json()["acts"], json!([]));
}

/// Who may not be answered now is not left waiting.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let operated = Operated::new().await;
    let never = futures_util::stream::pending::<Result<String, std::io::Error>>();
    let ask = Ask::post(&format!("{COUNTS}/pause")).body(axum::body::Body::from_stream(never));
    let ask = ask.header("content-type", "application/json");
    ask.of(&operated.operators).await.problem(503, "deadline");
    assert_eq!(operated.get("/acts").await.json()["acts"], json!([]));
}
