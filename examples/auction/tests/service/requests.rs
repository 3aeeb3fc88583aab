//! Requests that are refused: by which status, and by which problem.

use crate::support::{Server, copy, place};
use serde_json::json;

/// A server with the auction `a1`, in which Ada leads.
fn server(data: &std::path::Path) -> Server {
    let server = Server::quiet(data);
    server.open("a1");
    server.bid("a1", "ada", 500).is(200);
    server
}

const PLACE: &str = "/auction/a1/place-bid";

#[test]
fn what_there_is_not_is_not_found() {
    let (_room, data) = place();
    let server = server(&data).with_read_models();
    server.post("/nothing/a1/open", &json!({})).problem(404, "not-found");
    server.post("/auction/a1/nothing", &json!({})).problem(404, "not-found");
    server.get("/auction/a2").problem(404, "not-found");
    server.get("/auction/a1?version=3").problem(404, "not-found");
    server.get("/bidders/nobody").problem(404, "not-found");
    server.get("/nothing").problem(404, "not-found");
    server.get(PLACE).problem(405, "method-not-allowed");
    server.get("/problems/not-found").is(200);
}

#[test]
fn a_body_that_is_none_of_the_command_is_refused_by_its_place() {
    let (_room, data) = place();
    let server = server(&data);
    let check = |body: &str, status: u16, pointer: Option<&str>| {
        let answer = server.post_with(PLACE, body, &[]).problem(status, "bad-body");
        assert_eq!(answer.body["pointer"].as_str(), pointer, "{answer:?}");
    };
    check("{\"bidder\":", 400, None);
    check("no json", 400, None);
    check(&format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)), 400, None);
    check(&format!("\"{}\"", "x".repeat(4 << 20)), 413, None);
    check(r#"{"bidder":"bob"}"#, 422, Some(""));
    check(r#"{"bidder":17,"max_cents":900}"#, 422, Some("/bidder"));
    check(r#"{"bidder":"","max_cents":900}"#, 422, Some("/bidder"));
    check(r#"{"bidder":"b\u0000b","max_cents":900}"#, 422, Some("/bidder"));
    check(&json!({"bidder": "b".repeat(256), "max_cents": 900}).to_string(), 422, Some("/bidder"));
    check(r#"{"bidder":"bob","max_cents":"900"}"#, 422, Some("/max_cents"));
    check(r#"{"bidder":"bob","max_cents":-1}"#, 422, Some("/max_cents"));
    check(r#"{"bidder":"bob","max_cents":9.5}"#, 422, Some("/max_cents"));
    check(r#"{"bidder":"bob","max_cents":1000000000001}"#, 422, Some("/max_cents"));
    server.post_with(PLACE, r#"{"bidder":"bob","max_cents":1000000000000}"#, &[]).is(200);
    let events = server.get("/auction/a1/events").is(200);
    assert_eq!(events.body["events"].as_array().unwrap().len(), 3, "what was refused is not there");
}

#[test]
fn an_id_that_is_none_is_refused() {
    let (_room, data) = place();
    let server = server(&data);
    let open = json!({"item": "Leica M3", "opening_bid_cents": 100});
    let check = |id: &str, status| server.post(&format!("/auction/{id}/open"), &open).is(status);
    let long = ["a".repeat(255), "a".repeat(256)];
    for id in ["", "%00", "a%0Ab", "%7F", "%FF", &long[1]] {
        check(id, 400).problem(400, "bad-id");
    }
    for id in [&long[0], "%2F", "%2E%2E%2Fa", "Zo%C3%AB", "a%20b", "%F0%9F%93%B7"] {
        check(id, 200);
        assert_eq!(server.get(&format!("/auction/{id}")).is(200).body["item"], "Leica M3");
    }
}

#[test]
fn parameters_are_read_strictly() {
    let (_room, data) = place();
    let server = server(&data).with_read_models();
    for query in ["order=nothing", "limit=0", "limit=-1", "limit=x", "open=maybe", "after=nothing"]
    {
        server.get(&format!("/auctions?{query}")).problem(400, "bad-parameter");
    }
    server.get("/auctions?limit=100000").is(200);
}

#[test]
fn a_rejection_is_told_with_its_type() {
    let (_room, data) = place();
    let server = server(&data);
    let rejection =
        |answer: crate::support::Answer| answer.problem(409, "rejected").body["rejection"].clone();
    assert_eq!(rejection(server.bid("a2", "ada", 500)), "not_open");
    assert_eq!(rejection(server.bid("a1", "bob", 124)), json!({"too_low": {"minimum_cents": 125}}));
    let own = json!({"own_not_higher": {"max_cents": 500}});
    assert_eq!(rejection(server.bid("a1", "ada", 500)), own);
    let open = json!({"item": "Leica M3", "opening_bid_cents": 100});
    assert_eq!(rejection(server.post("/auction/a1/open", &open)), "already_open");
    server.post("/auction/a1/close", &json!({})).is(200);
    assert_eq!(rejection(server.bid("a1", "bob", 900)), "not_open");
    server.open("a3");
    let below = json!({"below_opening": {"opening_bid_cents": 100}});
    assert_eq!(rejection(server.bid("a3", "bob", 99)), below);
}

#[test]
fn a_version_that_is_no_longer_the_newest_is_told_which_is() {
    let (_room, data) = place();
    let server = server(&data);
    let bid = r#"{"bidder":"bob","max_cents":900}"#;
    let stale = server.post_with(PLACE, bid, &[("if-match", "\"1\"")]);
    let newest = stale.problem(412, "version-conflict").etag.unwrap();
    server.post_with(PLACE, bid, &[("if-match", &newest)]).is(200);
    server.post_with(PLACE, bid, &[("if-none-match", "*")]).problem(412, "version-conflict");
}

#[test]
fn a_key_stands_for_one_command() {
    let (_room, data) = place();
    let server = server(&data);
    let (bid, other) =
        (r#"{"bidder":"bob","max_cents":900}"#, r#"{"bidder":"bob","max_cents":901}"#);
    let key = [("idempotency-key", "k1")];
    let first = server.post_with(PLACE, bid, &key).is(200);
    let again = server.post_with(PLACE, bid, &key).is(200);
    assert!(again.replayed && !first.replayed);
    assert_eq!((&first.body, &first.etag, &first.token), (&again.body, &again.etag, &again.token));
    server.post_with(PLACE, other, &key).problem(422, "key-reused");
    server.post_with("/auction/a1/close", "{}", &key).problem(422, "key-reused");
    server
        .post_with(PLACE, bid, &[("idempotency-key", &"k".repeat(256))])
        .problem(400, "bad-parameter");
}

#[test]
fn a_token_of_another_history_is_noticed_and_one_of_the_future_is_waited_for() {
    let (room, data) = place();
    let one = server(&data);
    let other = server(&room.path().join("other"));
    let strange = other.get("/auction/a1").is(200);
    let strange = [("kronika-position", strange.token())];
    one.get_with("/auctions", &strange).problem(409, "history-diverged");
    one.get_with("/auction/a1", &strange).problem(409, "history-diverged");
    assert_eq!(one.end("TERM"), Some(0));

    // The same history goes on in a copy, and the first directory falls behind.
    let copied = room.path().join("copy");
    copy(&data, &copied);
    let ahead = Server::quiet(&copied).bid("a1", "bob", 900).is(200);
    let behind = Server::quiet(&data);
    let wait = [("kronika-position", ahead.token()), ("prefer", "wait=1")];
    let begin = std::time::Instant::now();
    behind.get_with("/auctions", &wait).problem(503, "not-yet");
    assert!(begin.elapsed().as_millis() >= 1_000, "it did not wait");
    // And then it goes another way.
    behind.bid("a1", "eve", 5_000).is(200);
    behind.get_with("/auctions", &wait).problem(409, "history-diverged");
    behind.get_with("/auctions", &[("kronika-position", "nothing")]).problem(400, "bad-parameter");
}

#[test]
fn pages_of_auctions_hold_each_auction_once_in_every_order() {
    let (_room, data) = place();
    let server = Server::quiet(&data);
    let mut token = String::new();
    for number in 0..9u64 {
        let auction = format!("a.{number}");
        token = server.open(&auction).token().to_owned();
        for bid in 0..number % 3 {
            let placed = server.bid(&auction, &format!("b{bid}"), 1_000 * (bid + 1)).is(200);
            token = placed.token().to_owned();
        }
    }
    let read = |order: &str, limit: usize| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/auctions?order={order}&limit={limit}{after}");
            let page = server.get_with(&path, &[("kronika-position", &token)]).is(200).body;
            let rows = page["auctions"].as_array().unwrap();
            assert!(rows.len() <= limit);
            found.extend(rows.iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    };
    for order in ["auction", "-auction", "price_cents", "-price_cents", "bids", "-bids"] {
        let whole = read(order, 1_000);
        assert_eq!(whole.len(), 9, "{order}");
        (1..=4).for_each(|limit| assert_eq!(read(order, limit), whole, "{order} by {limit}"));
        let column = order.trim_start_matches('-');
        let mut values: Vec<_> =
            whole.iter().map(|row| (row[column].as_str(), row[column].as_i64())).collect();
        if order.starts_with('-') {
            values.reverse();
        }
        assert!(values.is_sorted(), "{order}: {values:?}");
    }
}
