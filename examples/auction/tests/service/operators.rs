//! The service as its operators meet it: on the socket in its data directory.

use crate::support::{Server, place, until};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
};

fn socket(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// Asks on a connection of its own; gives status and body.
fn ask(data: &Path, head: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket(data)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: operators\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

fn act(data: &Path, path: &str) {
    let body = json!({"who": "ann", "why": "to try it"}).to_string();
    let (status, answer) = ask(data, &format!("POST {path}"), &body);
    assert_eq!(status, 202, "{answer}");
}

/// Of one projection, what stands at a name for each of its read models.
fn each(data: &Path, projection: &str, name: &str) -> Vec<Value> {
    let (status, told) = ask(data, &format!("GET /projections/{projection}"), "");
    assert_eq!(status, 200, "{told}");
    let read_models = told["projections"].as_array().unwrap();
    read_models.iter().map(|it| it[name].clone()).collect()
}

#[test]
fn operators_pause_rebuild_and_switch_by_the_socket() {
    let (_room, data) = place();
    let server = Server::quiet(&data).with_read_models();
    let mode = std::fs::metadata(socket(&data)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.open("a1");
    server.bid("a1", "ada", 500).is(200);
    until("it has both events", || each(&data, "auctions", "events") == [2]);
    act(&data, "/projections/auctions/pause");
    until("it is paused", || each(&data, "auctions", "state") == ["paused"]);
    server.bid("a1", "bob", 900).is(200);
    until("it is behind", || each(&data, "auctions", "lag_events") == [1]);
    act(&data, "/projections/auctions/resume");
    act(&data, "/projections/auctions/rebuild");
    until("it is switched", || each(&data, "auctions", "stage") == ["old", "live"]);
    until("both are fed", || each(&data, "auctions", "events") == [3, 3]);
    assert_eq!(server.get("/auctions").is(200).body["auctions"][0]["bids"], 2);
    act(&data, "/projections/auctions/drop");
    assert_eq!(each(&data, "auctions", "run"), [2]);
    let (_, acts) = ask(&data, "GET /acts", "");
    assert_eq!(acts["acts"][0]["act"], "drop auctions (generation 1, run 1)");
    // Customers do not meet it.
    server.get("/projections").problem(404, "not-found");
    assert_eq!(server.end("TERM"), Some(0));
    assert!(!socket(&data).exists());
}

#[test]
fn a_socket_of_a_service_that_was_killed_is_replaced() {
    let (_room, data) = place();
    assert_eq!(Server::quiet(&data).end("KILL"), None);
    assert!(socket(&data).exists());
    let server = Server::quiet(&data);
    assert_eq!(each(&data, "auctions", "stage"), ["live"]);
    assert_eq!(server.end("TERM"), Some(0));
}
