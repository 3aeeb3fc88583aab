//! Events as lists.

use crate::support::{Ask, Fixture};
use axum::http::StatusCode;
use kronika_core::{Metadata, NewEvent, Origin, StreamId};
use kronika_http::HttpLimits;
use serde_json::{Value, json};

fn versions(list: &Value) -> Vec<u64> {
    let events = list["events"].as_array().unwrap();
    events.iter().map(|event| event["version"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_event_has_the_form_that_clients_rely_on() {
    let service = Fixture::new().await;
    let origin = Origin {
        principal: Some("ann".into()),
        correlation: Some("c1".into()),
        causation: Some("e7".into()),
        ..Origin::default()
    };
    let open = Ask::post("/account/a1/open").json(&json!({"owner": "ann"})).extension(origin);
    open.of(&service).await.is(StatusCode::OK);
    let list = service.get("/account/a1/events").await.is(StatusCode::OK).json();
    let event = &list["events"][0];
    let time = event["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 27, "{time}");
    let expected = json!({
        "version": 1,
        "position": 1,
        "stream": "account/a1",
        "name": "opened",
        "schema": 1,
        "time": time,
        "body": {"owner": "ann"},
        "metadata":
            {"command": "open", "principal": "ann", "correlation": "c1", "causation": "e7"},
    });
    assert_eq!(*event, expected);
    assert_eq!(list["next"], Value::Null);
}

/// The state is that of this build; what was recorded is told as it was.
#[tokio::test]
async fn older_events_are_told_as_they_were_recorded() {
    let service = Fixture::new().await;
    let event = |name: &'static str, body: &'static str| NewEvent {
        name: name.into(),
        schema: 1,
        body: body.into(),
        ..NewEvent::default()
    };
    let events = vec![event("opened", r#"{"owner":"eve"}"#), event("paid-in", r#"{"cents":7}"#)];
    service.journal.write_as_stranger(&StreamId::new("account", "a1").unwrap(), events);
    let state = service.get("/account/a1").await.is(StatusCode::OK).json();
    assert_eq!(state["cents"], 7);
    let list = service.get("/account/a1/events").await.is(StatusCode::OK).json();
    let event = &list["events"][1];
    assert_eq!((&event["name"], &event["schema"]), (&json!("paid-in"), &json!(1)));
    assert_eq!(event["body"], json!({"cents": 7}));
}

#[tokio::test]
async fn free_metadata_is_told_too() {
    let service = Fixture::new().await;
    let free = Metadata::from([("reason".to_owned(), "import".to_owned())]);
    let event = NewEvent {
        name: "opened".into(),
        schema: 1,
        body: r#"{"owner": "eve", "x": 1.50}"#.into(),
        metadata: Some(Box::new(free)),
        ..NewEvent::default()
    };
    service.journal.write_as_stranger(&StreamId::new("account", "a1").unwrap(), vec![event]);
    let answer = service.get("/account/a1/events").await.is(StatusCode::OK);
    assert_eq!(answer.json()["events"][0]["metadata"]["reason"], "import");
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert!(body.contains(r#"{"owner": "eve", "x": 1.50}"#), "told as it was recorded: {body}");
}

#[tokio::test]
async fn a_stream_is_read_in_pages_by_version() {
    let service = Fixture::new().await;
    service.account("a1", 4).await;
    service.account("a2", 1).await;
    let check = async |query: &str, expected: &[u64], next: Value| {
        let list = service.get(&format!("/account/a1/events{query}")).await.is(StatusCode::OK);
        assert_eq!((versions(&list.json()), &list.json()["next"]), (expected.to_vec(), &next));
    };
    check("", &[1, 2, 3, 4, 5], Value::Null).await;
    check("?limit=2", &[1, 2], json!(2)).await;
    check("?limit=2&after=2", &[3, 4], json!(4)).await;
    check("?limit=2&after=4", &[5], Value::Null).await;
    check("?limit=5", &[1, 2, 3, 4, 5], Value::Null).await;
    check("?limit=1000000&after=1", &[2, 3, 4, 5], Value::Null).await;
    check("?after=5", &[], Value::Null).await;
    check("?after=17", &[], Value::Null).await;
}

#[tokio::test]
async fn appends_without_events_are_passed_over() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    for key in ["k1", "k2", "k3"] {
        let touch = Ask::post("/account/a1/touch").header("idempotency-key", key);
        touch.of(&service).await.is(StatusCode::OK);
    }
    service.post("/account/a1/deposit", json!({"cents": 1})).await;
    let first = service.get("/account/a1/events?limit=1").await.json();
    assert_eq!((versions(&first), &first["next"]), (vec![1], &json!(1)));
    let second = service.get("/account/a1/events?limit=1&after=1").await.json();
    assert_eq!((versions(&second), &second["next"]), (vec![2], &Value::Null));
}

#[tokio::test]
async fn the_journal_is_read_in_pages_by_token_and_by_position() {
    let service = Fixture::new().await;
    service.account("a1", 2).await;
    service.account("a2", 1).await;
    let positions = |list: &Value| -> Vec<u64> {
        let events = list["events"].as_array().unwrap();
        events.iter().map(|event| event["position"].as_u64().unwrap()).collect()
    };
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/events?limit=2{after}")).await.is(StatusCode::OK);
        seen.extend(positions(&page.json()));
        match page.json()["next"].as_str() {
            Some(next) => {
                assert_eq!(page.header("kronika-position"), next);
                after = format!("&after={next}");
            }
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert_eq!(positions(&service.get("/events?after=3").await.json()), [4, 5]);
    assert_eq!(positions(&service.get("/events?after=0").await.json()).len(), 5);
    assert_eq!(positions(&service.get("/events?after=17").await.json()), [0; 0]);
    assert_eq!(positions(&service.get("/events?limit=99999").await.json()).len(), 5);
}

#[tokio::test]
async fn parameters_of_lists_are_read_strictly() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    for path in ["/events", "/account/a1/events"] {
        for query in ["limit=0", "limit=x", "limit=", "limit=-1", "after=-1", "after=", "after=x"] {
            let problem = service.get(&format!("{path}?{query}")).await;
            let name = query.split_once('=').unwrap().0;
            assert_eq!(problem.problem(400, "bad-parameter")["parameter"], name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_history_is_noticed_by_lists() {
    let service = Fixture::new().await;
    let token = service.account("a1", 0).await.header("kronika-position").to_owned();
    let (history, _) = token.rsplit_once('-').unwrap();
    service.get(&format!("/events?after={token}")).await.is(StatusCode::OK);
    service.get(&format!("/events?after={history}-0")).await.problem(409, "history-diverged");
    service.get("/events?after=k1.1").await.problem(409, "history-diverged");
    let beyond = token.replace(".0-1-", ".0-2-");
    service.get(&format!("/events?after={beyond}")).await.problem(503, "not-yet");
}

#[tokio::test]
async fn the_journal_is_served_only_where_it_is_allowed() {
    let service = Fixture::new().await;
    let closed = kronika_http::Service::new(service.kronika.clone()).router().unwrap();
    let closed = Fixture { router: closed, ..service };
    closed.get("/events").await.problem(404, "not-found");
}

#[tokio::test]
async fn pages_are_cut_by_bytes_too() {
    let mut limits = HttpLimits::default();
    limits.page_bytes = 30;
    let service = Fixture::with(|service| service.limits(limits)).await;
    service.account("a1", 9).await;
    for path in ["/events", "/account/a1/events"] {
        let (mut count, mut after, mut pages) = (0, String::new(), 0);
        loop {
            let page = service.get(&format!("{path}?limit=100{after}")).await.json();
            count += page["events"].as_array().unwrap().len();
            pages += 1;
            match &page["next"] {
                Value::Null => break,
                Value::String(next) => after = format!("&after={next}"),
                next => after = format!("&after={next}"),
            }
        }
        assert_eq!(count, 10);
        assert!(pages > 2, "{path}: {pages} pages");
    }
}
