//! The service as a process: it tells its address, answers, ends when it is asked to, and goes on.

use crate::support::{Server, place};
use serde_json::json;

#[test]
fn a_service_that_was_ended_goes_on_where_it_was() {
    let (_room, data) = place();
    let server = Server::quiet(&data);
    assert_eq!(server.get("/health/live").is(200).body["status"], "live");
    assert_eq!(server.get("/health/ready").is(200).body["status"], "ready");
    server.open("a1");
    server.bid("a1", "ada", 500).is(200);
    assert_eq!(server.end("TERM"), Some(0));

    let server = Server::quiet(&data);
    let placed = server.bid("a1", "bob", 900).is(200);
    assert_eq!(placed.body, json!({"leading": true, "price_cents": 550}));
    assert_eq!(placed.etag.as_deref(), Some("\"3\""));
    assert_eq!(server.end("INT"), Some(0));

    let server = Server::quiet(&data);
    let state = server.get("/auction/a1").is(200);
    assert_eq!((&state.body["leader"], &state.body["price_cents"]), (&"bob".into(), &550.into()));
    let first = server.get("/auction/a1?version=2").is(200);
    assert_eq!(first.body["leader"], "ada");
}

#[test]
fn a_service_ends_well_however_soon_it_is_asked() {
    let (_room, data) = place();
    for signal in ["TERM", "INT", "TERM", "INT"] {
        assert_eq!(Server::quiet(&data).end(signal), Some(0), "{signal}");
    }
}

#[test]
fn a_service_looks_alive_and_ends_well_while_it_does() {
    let (_room, data) = place();
    let server = Server::start(&data, &[]);
    crate::support::until("simulated bids are placed", || {
        let events = server.get("/auction/lively-0/events");
        events.body["events"].as_array().is_some_and(|events| events.len() > 1)
    });
    assert_eq!(server.end("TERM"), Some(0));
    let server = Server::start(&data, &[]);
    assert!(server.get("/events?limit=30").is(200).body["events"].as_array().unwrap().len() > 24);
    assert_eq!(server.end("INT"), Some(0));
}

#[test]
fn what_was_written_is_read_at_once() {
    let (_room, data) = place();
    let server = Server::quiet(&data);
    server.open("a1");
    for number in 1..=1_000u64 {
        let placed = server.bid("a1", &format!("b{}", number % 7), 100_000 * number).is(200);
        let position = [("kronika-position", placed.token())];
        let list = server.get_with("/auctions?item=Leica%20M3", &position).is(200);
        let row = &list.body["auctions"][0];
        assert_eq!(
            (&row["bids"], &row["price_cents"]),
            (&number.into(), &placed.body["price_cents"])
        );
        let bidder = server.get_with(&format!("/bidders/b{}", number % 7), &position).is(200);
        assert_eq!(bidder.body["due_cents"], placed.body["price_cents"]);
    }
}

/// Loosely: a build for tests takes more than a release.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_service_is_small() {
    let (_room, data) = place();
    let server = Server::quiet(&data).with_read_models();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let resident_kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(resident_kib < 100 << 10, "{line}");
}
