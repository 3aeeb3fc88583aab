//! Bodies that are no command.

use crate::support::{Ask, Fixture};
use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use futures_util::stream;
use kronika_http::HttpLimits;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

async fn small() -> Fixture {
    let mut limits = HttpLimits::default();
    limits.body_bytes = 1000;
    let service = Fixture::with(|service| service.limits(limits)).await;
    service.account("a1", 0).await;
    service
}

fn deposit(body: impl Into<Body>) -> Ask {
    Ask::post("/account/a1/deposit").body(body).header("content-type", "application/json")
}

#[tokio::test]
async fn what_is_no_json_is_refused_as_such() {
    let service = small().await;
    let texts: [&[u8]; 9] = [
        b"x",
        b"{",
        br#"{"cents":1"#,
        br#"{"cents":1} x"#,
        br#"{"cents":"x" oops"#,
        br#"{"cents":1,}"#,
        br#"{"cents":NaN}"#,
        b"{\"cents\":1,\"x\":\"\xff\"}",
        b"\xff\xfe",
    ];
    for text in texts {
        deposit(text).of(&service).await.problem(400, "bad-body");
    }
}

#[tokio::test]
async fn a_wrong_shape_is_named_by_its_place() {
    let service = small().await;
    let check = async |body: &'static str, pointer: &str| {
        let problem = deposit(body).of(&service).await.problem(422, "bad-body");
        assert_eq!(problem["pointer"], pointer, "{body}");
        assert!(!problem["detail"].as_str().unwrap().contains("line"), "{problem}");
    };
    check(r#"{"cents":"5"}"#, "/cents").await;
    check(r#"{"cents":-1}"#, "/cents").await;
    check(r#"{"cents":4294967296}"#, "/cents").await;
    check(r#"{"cents":1,"labels":[1,256]}"#, "/labels/1").await;
    check(r#"{}"#, "").await;
    check("", "").await;
    check("[]", "").await;
    check("null", "").await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_what_it_says_and_by_what_it_is() {
    let service = small().await;
    let padded = |bytes: usize| format!("{:<bytes$}", r#"{"cents":1}"#);
    deposit(padded(1000)).of(&service).await.is(StatusCode::OK);
    deposit(padded(1001)).of(&service).await.problem(413, "bad-body");
    deposit("").header("content-length", "1001").of(&service).await.problem(413, "bad-body");
    // A body without an announced length, which would never end.
    let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 100])));
    deposit(Body::from_stream(endless)).of(&service).await.problem(413, "bad-body");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_taken_off_the_wire_within_bounds() {
    let service = small().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let body = |bytes: usize| {
        let taken = taken.clone();
        taken.store(0, Ordering::Relaxed);
        let chunks = (0..bytes / 100).map(move |_| {
            taken.fetch_add(100, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(&[b' '; 100]))
        });
        Body::from_stream(stream::iter(chunks))
    };
    deposit(body(5_000)).of(&service).await.problem(413, "bad-body");
    assert_eq!(taken.load(Ordering::Relaxed), 5_000, "the client can send it all and then read");
    deposit(body(1_000_000)).of(&service).await.problem(413, "bad-body");
    assert!(taken.load(Ordering::Relaxed) < 10_000);
    let asked = deposit(body(5_000)).header("content-length", "5000");
    asked.header("expect", "100-continue").of(&service).await.problem(413, "bad-body");
    assert_eq!(taken.load(Ordering::Relaxed), 0, "it is told before it sends");
    let stuck = stream::pending::<Result<Bytes, Infallible>>();
    let stuck = deposit(Body::from_stream(stuck)).header("content-length", "5000");
    stuck.of(&service).await.problem(413, "bad-body");
}

#[tokio::test]
async fn a_body_that_is_too_deep_is_refused_also_where_nobody_reads_it() {
    let service = small().await;
    let nested = |levels: usize| {
        let levels = levels - 1;
        format!(r#"{{"cents":1,"more":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    deposit(nested(127)).of(&service).await.is(StatusCode::OK);
    deposit(nested(128)).of(&service).await.problem(400, "bad-body");
    deposit("[".repeat(900)).of(&service).await.problem(400, "bad-body");
}

#[tokio::test]
async fn a_body_is_said_to_be_json() {
    let service = small().await;
    let check = async |kind: Option<&'static str>, taken: bool| {
        let ask = Ask::post("/account/a1/deposit").body(r#"{"cents":1}"#);
        let ask = kind.into_iter().fold(ask, |ask, kind| ask.header("content-type", kind));
        let answer = ask.of(&service).await;
        match taken {
            true => assert_eq!(answer.status, StatusCode::OK, "{kind:?}"),
            false => drop(answer.problem(415, "bad-body")),
        }
    };
    check(Some("application/json"), true).await;
    check(Some("application/json;charset=utf-8"), true).await;
    check(Some("application/vnd.account+json"), true).await;
    check(Some("text/plain"), false).await;
    check(Some("application/x-www-form-urlencoded"), false).await;
    check(Some("multipart/form-data; boundary=x"), false).await;
    check(None, false).await;
}

#[tokio::test]
async fn a_web_page_cannot_post_without_a_body_either() {
    let service = small().await;
    Ask::post("/account/a1/touch").of(&service).await.is(StatusCode::OK);
    let page = Ask::post("/account/a1/touch").header("origin", "https://elsewhere.example");
    page.of(&service).await.problem(415, "bad-body");
    let page = Ask::post("/account/a1/touch").header("sec-fetch-site", "cross-site");
    page.of(&service).await.problem(415, "bad-body");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_not_waited_for_beyond_the_deadline() {
    let service = small().await;
    let begin = tokio::time::Instant::now();
    let never = stream::pending::<Result<Bytes, Infallible>>();
    deposit(Body::from_stream(never)).of(&service).await.problem(503, "deadline");
    assert_eq!(begin.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let service = small().await;
    let parts = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))];
    deposit(Body::from_stream(stream::iter(parts))).of(&service).await.problem(400, "bad-body");
}
