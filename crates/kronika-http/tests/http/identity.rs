//! Ids and paths.

use crate::support::{Ask, Fixture};
use axum::http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn an_id_may_be_any_text_of_255_bytes() {
    let service = Fixture::new().await;
    let check = async |encoded: &str, id: &str| {
        service.account(encoded, 0).await;
        let events = service.get(&format!("/account/{encoded}/events")).await.json();
        assert_eq!(events["events"][0]["stream"], format!("account/{id}"));
        service.get(&format!("/account/{encoded}")).await.is(StatusCode::OK);
    };
    check("a%2Fb", "a/b").await;
    check("%C3%BC%F0%9F%98%80", "ü😀").await;
    check("a%20b+c", "a b+c").await;
    check("..", "..").await;
    check("%2E", ".").await;
    check("%2525", "%25").await;
    check("events", "events").await;
    check("a;b=c,d:e@f!$&'()*", "a;b=c,d:e@f!$&'()*").await;
    check(&"x".repeat(255), &"x".repeat(255)).await;
    check(&"%C3%BC".repeat(127), &"ü".repeat(127)).await;
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let service = Fixture::new().await;
    let long = "x".repeat(256);
    for id in ["", "%00", "a%0Ab", "%7F", "%C2%85", "%FF", "%C3", &long] {
        service.get(&format!("/account/{id}")).await.problem(400, "bad-id");
        service.get(&format!("/account/{id}/events")).await.problem(400, "bad-id");
        service.post(&format!("/account/{id}/touch"), json!({})).await.problem(400, "bad-id");
    }
}

#[tokio::test]
async fn an_id_is_one_that_its_type_reads() {
    let service = Fixture::new().await;
    service.post("/ticket/17/buy", json!({})).await.is(StatusCode::OK);
    service.post("/ticket/x/buy", json!({})).await.problem(400, "bad-id");
    service.get("/ticket/x").await.problem(400, "bad-id");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    for path in ["/", "/nothing", "/Account/a1", "/account/a1/", "/account/a1/open/x", "//", "/x/y"]
    {
        service.get(path).await.problem(404, "not-found");
    }
    service.post("/account/a1/close", json!({})).await.problem(404, "not-found");
    service.post("/ticket", json!({})).await.problem(404, "not-found");
    let problem = service.post("/account/a1/Open", json!({})).await.problem(404, "not-found");
    assert!(problem["detail"].as_str().unwrap().contains("deposit"), "{problem}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_it_takes() {
    let service = Fixture::new().await;
    let check = async |method: Method, path: &str, allow: &str| {
        let answer = Ask::new(method, path).of(&service).await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow, "{path}");
    };
    check(Method::GET, "/account/a1/open", "POST").await;
    check(Method::PUT, "/account/a1", "GET,HEAD").await;
    check(Method::DELETE, "/account/a1/events", "GET,HEAD").await;
    check(Method::GET, "/account", "POST").await;
    check(Method::POST, "/events", "GET,HEAD").await;
    check(Method::POST, "/health/live", "GET,HEAD").await;
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let head = Ask::new(Method::HEAD, "/account/a1").of(&service).await.is(StatusCode::OK);
    assert_eq!((head.header("etag"), head.body.len()), ("\"1\"", 0));
}
