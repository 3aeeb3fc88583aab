//! A command that is accepted, and what its headers mean.

use crate::support::{Ask, Fixture};
use axum::http::StatusCode;
use kronika_core::{Origin, Token};
use serde_json::{Value, json};

#[tokio::test]
async fn a_command_is_answered_with_reply_version_and_token() {
    let service = Fixture::new().await;
    let opened = service.post("/account/a1/open", json!({"owner": "ann"})).await;
    assert_eq!((opened.status, opened.json()), (StatusCode::OK, Value::Null));
    assert_eq!(opened.header("etag"), "\"1\"");
    assert_eq!(opened.header("content-type"), "application/json");
    let deposited = service.post("/account/a1/deposit", json!({"cents": 500})).await;
    assert_eq!((deposited.status, deposited.json()), (StatusCode::OK, json!(500)));
    assert_eq!(deposited.header("etag"), "\"2\"");
    let token: Token = deposited.header("kronika-position").parse().unwrap();
    assert_eq!(token.marks().map(|mark| mark.position.get()).collect::<Vec<_>>(), [2]);
    assert!(!deposited.headers.contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn a_command_that_has_nothing_to_do_is_a_success() {
    let service = Fixture::new().await;
    let touched = service.post("/account/a1/touch", json!({})).await.is(StatusCode::OK);
    assert_eq!((touched.json(), touched.header("etag")), (Value::Null, "\"0\""));
}

#[tokio::test]
async fn an_empty_body_and_an_empty_object_are_both_a_command_without_fields() {
    let service = Fixture::new().await;
    let json = |body: &'static str| {
        Ask::post("/account/a1/touch").body(body).header("content-type", "application/json")
    };
    json("").of(&service).await.is(StatusCode::OK);
    json("{}").of(&service).await.is(StatusCode::OK);
    Ask::post("/account/a1/touch").of(&service).await.is(StatusCode::OK);
}

#[tokio::test]
async fn a_rejection_is_told_with_its_type() {
    let service = Fixture::new().await;
    let refused = service.post("/account/a1/deposit", json!({"cents": 1})).await;
    let problem = refused.problem(409, "rejected");
    assert_eq!(problem["rejection"], "NotOpen");
    assert_eq!(problem["detail"], "the account is not open");
    service.account("a1", 0).await;
    let refused = service.post("/account/a1/deposit", json!({"cents": 0})).await;
    assert_eq!(refused.problem(422, "rejected")["rejection"], json!({"NotPositive": 0}));
}

#[tokio::test]
async fn if_match_takes_the_etag_as_it_was_given() {
    let service = Fixture::new().await;
    let etag = service.account("a1", 1).await.header("etag").to_owned();
    let deposit = |tag: &str| {
        Ask::post("/account/a1/deposit").json(&json!({"cents": 1})).header("if-match", tag)
    };
    deposit(&etag).of(&service).await.is(StatusCode::OK);
    deposit("*").of(&service).await.is(StatusCode::OK);
    let stale = deposit(&etag).of(&service).await;
    assert_eq!(stale.problem(412, "version-conflict")["newest"], 4);
    assert_eq!(stale.header("etag"), "\"4\"");
    deposit("\"x\"").of(&service).await.problem(412, "version-conflict");
    let wrong = deposit("4").of(&service).await;
    assert_eq!(wrong.problem(400, "bad-parameter")["parameter"], "If-Match");
}

#[tokio::test]
async fn if_none_match_is_for_a_new_one() {
    let service = Fixture::new().await;
    let open = || {
        let ask = Ask::post("/account/a1/open").json(&json!({"owner": "ann"}));
        ask.header("if-none-match", "*")
    };
    open().of(&service).await.is(StatusCode::OK);
    let taken = open().of(&service).await;
    taken.problem(412, "version-conflict");
    assert_eq!(taken.header("etag"), "\"1\"");
}

#[tokio::test]
async fn an_expectation_of_what_is_not_there_has_no_etag_to_offer() {
    let service = Fixture::new().await;
    let touch = Ask::post("/account/a1/touch").header("if-match", "*").of(&service).await;
    touch.problem(412, "version-conflict");
    assert!(!touch.headers.contains_key("etag"));
}

#[tokio::test]
async fn a_repeat_gives_the_whole_receipt_whatever_has_changed() {
    let service = Fixture::new().await;
    service.account("a1", 1).await;
    let deposit = || {
        let ask = Ask::post("/account/a1/deposit").json(&json!({"cents": 5}));
        ask.header("idempotency-key", "k1").header("if-match", "\"2\"")
    };
    let first = deposit().of(&service).await.is(StatusCode::OK);
    service.post("/account/a1/deposit", json!({"cents": 1})).await.is(StatusCode::OK);
    let again = deposit().of(&service).await.is(StatusCode::OK);
    assert_eq!(again.header("idempotent-replayed"), "true");
    for name in ["etag", "kronika-position", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn a_key_belongs_to_one_command_byte_by_byte() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let send = |command: &str, body: &'static str| {
        Ask::post(&format!("/account/a1/{command}"))
            .body(body)
            .header("content-type", "application/json")
            .header("idempotency-key", "k1")
    };
    send("deposit", r#"{"cents":5}"#).of(&service).await.is(StatusCode::OK);
    send("deposit", r#"{"cents":6}"#).of(&service).await.problem(422, "key-reused");
    send("deposit", r#"{"cents": 5}"#).of(&service).await.problem(422, "key-reused");
    send("open", r#"{"owner":"x"}"#).of(&service).await.problem(422, "key-reused");
}

#[tokio::test]
async fn a_key_is_of_visible_ascii() {
    let service = Fixture::new().await;
    let check = async |key: &[u8], fits: bool| {
        let touch = Ask::post("/account/a1/touch").header("idempotency-key", key);
        let answer = touch.of(&service).await;
        match fits {
            true => assert_eq!(answer.status, StatusCode::OK, "{key:?}"),
            false => {
                let problem = answer.problem(400, "bad-parameter");
                assert_eq!(problem["parameter"], "Idempotency-Key");
            }
        }
    };
    check(b"k!~", true).await;
    check(&[b'k'; 255], true).await;
    check(&[b'k'; 256], false).await;
    check(b"", false).await;
    check(b"two words", false).await;
    check("ü".as_bytes(), false).await;
    let twice = Ask::post("/account/a1/touch");
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b");
    twice.of(&service).await.problem(400, "bad-parameter");
}

#[tokio::test]
async fn keys_of_different_principals_do_not_meet() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let deposit = |principal: &str| {
        let origin = Origin { principal: Some(principal.to_owned()), ..Origin::default() };
        let ask = Ask::post("/account/a1/deposit").json(&json!({"cents": 5}));
        ask.header("idempotency-key", "k1").extension(origin)
    };
    deposit("ann").of(&service).await.is(StatusCode::OK);
    let other = deposit("bob").of(&service).await.is(StatusCode::OK);
    assert!(!other.headers.contains_key("idempotent-replayed"));
    assert_eq!(other.json(), 10);
}

#[tokio::test]
async fn a_command_may_name_the_history_that_its_version_is_of() {
    let service = Fixture::new().await;
    let token = service.account("a1", 1).await.header("kronika-position").to_owned();
    let touch = |token: &str| Ask::post("/account/a1/touch").header("kronika-position", token);
    touch(&token).of(&service).await.is(StatusCode::OK);
    touch("k1.5.0-1-1").of(&service).await.problem(409, "history-diverged");
    let (history, _) = token.rsplit_once('-').unwrap();
    touch(&format!("{history}-0")).of(&service).await.problem(409, "history-diverged");
    let bad = touch("17").of(&service).await.problem(400, "bad-parameter");
    assert_eq!(bad["parameter"], "Kronika-Position");
}

#[tokio::test(start_paused = true)]
async fn a_token_beyond_the_head_is_waited_for() {
    let service = Fixture::new().await;
    let token = service.account("a1", 1).await.header("kronika-position").to_owned();
    let beyond = token.replace(".0-2-", ".0-3-");
    let begin = tokio::time::Instant::now();
    let touch = Ask::post("/account/a1/touch").header("kronika-position", &beyond);
    touch.header("prefer", "wait=2").of(&service).await.problem(503, "not-yet");
    assert_eq!(begin.elapsed().as_secs(), 2);
}
