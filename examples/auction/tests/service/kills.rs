//! `kill -9` at points spread over the run: what comes out in the end is as if nothing had happened.

use crate::{
    replays::{data_set, replay, rows, undisturbed},
    support::{Server, auction, place, text, until},
};
use serde_json::json;
use std::{
    collections::HashMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

const KILL: i32 = 9;
const EVENTS: u64 = 11_244;

/// Position of the last durable event, as `docs/formats/log.md` says where it is published; 0 before that.
fn published(data: &Path) -> u64 {
    let head = fs::read(data.join("journal/head")).unwrap_or_default();
    head.get(48..56).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
}

/// Replays, and kills it as soon as something is so.
fn replay_killed(bids: &Path, data: &Path, is_time: impl Fn() -> bool) -> ExitStatus {
    let mut command = auction(&["replay", text(bids), "--data", text(data), "--json"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the time to kill", || is_time() || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap()
}

#[test]
fn a_replay_that_is_killed_again_and_again_comes_to_the_same() {
    let Some(folder) = data_set() else { return };
    let bids = folder.join("bids.csv");
    let (_room, data) = place();
    let mut random = fastrand::Rng::with_seed(7);
    let mut killed = Vec::new();
    // Once while the directory is being made, then at a random point of each eighth of the run.
    let mut stops = vec![0];
    stops.extend((0..8).map(|part| EVENTS / 8 * part + random.u64(1..EVENTS / 8)));
    for stop in stops {
        let is_time = || match stop {
            0 => data.join("lock").exists(),
            _ => published(&data) >= stop,
        };
        let ended = replay_killed(&bids, &data, is_time);
        assert!(ended.success() || ended.signal() == Some(KILL), "{ended:?}");
        killed.extend((ended.signal() == Some(KILL)).then(|| published(&data)));
    }
    assert!(killed.len() >= 5, "too few were killed in time, at events {killed:?}");
    assert!(killed.iter().any(|at| (1..EVENTS).contains(at)), "none on the way: {killed:?}");
    let figures = replay(&bids, &data);
    let (expected, expected_rows) = undisturbed(&folder);
    for figure in ["accepted", "events", "results"] {
        assert_eq!(figures[figure], expected[figure], "{figure} after kills at {killed:?}");
    }
    assert_eq!(&rows(&data), expected_rows, "read models after kills at {killed:?}");
}

#[test]
fn a_server_killed_under_load_keeps_what_it_acknowledged() {
    const AUCTIONS: u64 = 4;
    let (_room, data) = place();
    let mut acknowledged = HashMap::<String, u64>::new();
    let mut sent = 0;
    for round in 0..3u64 {
        // With the simulated bidding beside it.
        let server = Server::start(&data, &[]).with_read_models();
        for auction in 0..AUCTIONS {
            let version = version(&server, &format!("a{auction}"));
            let known = acknowledged.get(&format!("a{auction}")).copied().unwrap_or_default();
            assert!(version >= known, "a{auction} has version {version}, told was {known}");
            if version == 0 {
                server.open(&format!("a{auction}"));
            }
        }
        let told = AtomicU64::new(0);
        let found = thread::scope(|scope| {
            let callers: Vec<_> = (0..AUCTIONS)
                .map(|auction| {
                    let (server, told) = (&server, &told);
                    scope
                        .spawn(move || bid_until_killed(server, &format!("a{auction}"), sent, told))
                })
                .collect();
            until("some bids are acknowledged", || told.load(Ordering::Relaxed) >= 40 + 60 * round);
            server.signal("KILL");
            callers.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
        });
        sent += 1_000_000;
        acknowledged.extend(found);
    }
    let server = Server::quiet(&data).with_read_models();
    for (auction, told) in &acknowledged {
        let newest = server.get(&format!("/auction/{auction}")).is(200);
        let version = etag(newest.etag.as_deref());
        assert!(version >= *told && *told > 1, "{auction} has version {version}, told was {told}");
        read_models_follow(&server, auction, version);
    }
    read_models_follow(&server, "lively-0", version(&server, "lively-0"));
    assert_eq!(server.end("TERM"), Some(0));
}

/// Bids ever more; gives the auction and the last version that was acknowledged.
fn bid_until_killed(server: &Server, auction: &str, base: u64, told: &AtomicU64) -> (String, u64) {
    let mut last = 0;
    for number in 1.. {
        let bidder = format!("b{}", number % 3);
        let bid = json!({"bidder": bidder, "max_cents": base + number * 10_000}).to_string();
        let answer = server.try_post(&format!("/auction/{auction}/place-bid"), &bid, &[]);
        match answer {
            Some(answer) if answer.status == 200 => {
                last = etag(answer.etag.as_deref());
                told.fetch_add(1, Ordering::Relaxed);
            }
            Some(answer) => drop(answer.problem(409, "rejected")),
            None => break,
        }
    }
    (auction.to_owned(), last)
}

fn etag(etag: Option<&str>) -> u64 {
    etag.unwrap().trim_matches('"').parse().unwrap()
}

/// The newest version of an auction; 0 where it has no events.
fn version(server: &Server, auction: &str) -> u64 {
    let answer = server.get(&format!("/auction/{auction}"));
    answer.etag.map_or(0, |version| etag(Some(&version)))
}

/// The row of an auction says what its aggregate and its events say.
fn read_models_follow(server: &Server, auction: &str, version: u64) {
    let state = server.get(&format!("/auction/{auction}")).is(200);
    let position = [("kronika-position", state.token())];
    let list = server.get_with("/auctions?limit=1000", &position).is(200);
    let rows = list.body["auctions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["auction"] == auction).unwrap();
    // Without a bid, the row has no price and the state none that says anything.
    let told = ["item", "leader", "price_cents", "max_cents"];
    for field in &told[..if version == 1 { 2 } else { 4 }] {
        assert_eq!(row[field], state.body[field], "{field} of {auction}");
    }
    assert_eq!(row["bids"], version - 1, "every event but the first is a bid");
}
