//! Clients read what they have just written, and follow what changes.

use crate::support::{LONG, Server, until};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const CLIENTS: usize = 1000;

/// None is given less than what it wrote, and none waits beyond its limit without being told.
#[test]
fn a_thousand_clients_read_their_own_writes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::quiet(&directory.path().join("d")).with_read_models());
    let (fresh, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let begin = Arc::new(Barrier::new(CLIENTS));
    let client = |number: usize| {
        let (server, begin) = (server.clone(), begin.clone());
        let (fresh, late) = (fresh.clone(), late.clone());
        let client = move || {
            let (auction, bidder) = (format!("a{number}"), format!("b{number}"));
            server.open(&auction);
            begin.wait();
            let bid = server.bid(&auction, &bidder, 1000).is(200);
            let token = bid.token.unwrap();
            let headers = [("kronika-position", &*token), ("prefer", "wait=60")];
            let seen = server.get_with(&format!("/bidders/{bidder}"), &headers);
            match seen.status {
                200 => {
                    assert_eq!(seen.body["bids"], 1, "stale: {seen:?}");
                    fresh.fetch_add(1, Ordering::Relaxed);
                }
                503 => {
                    late.fetch_add(1, Ordering::Relaxed);
                }
                _ => panic!("{seen:?}"),
            }
        };
        thread::Builder::new().stack_size(512 << 10).spawn(client).unwrap()
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (fresh, late) = (fresh.load(Ordering::Relaxed), late.load(Ordering::Relaxed));
    assert_eq!((fresh, late), (CLIENTS, 0), "fresh, and told late");
}

#[test]
fn a_bidder_is_followed_live() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::quiet(&directory.path().join("d")).with_read_models();
    server.open("a1");
    let feed = ureq::get(format!("http://{}/bidders/ann", server.address()));
    let feed = feed.header("accept", "text/event-stream").call().unwrap();
    assert_eq!(feed.headers()["content-type"], "text/event-stream");
    let mut lines = BufReader::new(feed.into_body().into_reader()).lines();
    let mut next = |wanted: &str| {
        let begin = std::time::Instant::now();
        while begin.elapsed() < LONG {
            let line = lines.next().unwrap().unwrap();
            let Some(data) = line.strip_prefix("data:") else { continue };
            let told: Value = serde_json::from_str(data).unwrap();
            if told["bids"] == wanted.parse::<u64>().unwrap() || told.is_null() && wanted == "0" {
                return;
            }
        }
        panic!("never told of {wanted} bids");
    };
    next("0");
    server.bid("a1", "ann", 500).is(200);
    next("1");
    server.bid("a1", "ann", 900).is(200);
    next("2");
    until("the bids are there", || server.get("/bidders/ann").body["bids"] == 2);
}
