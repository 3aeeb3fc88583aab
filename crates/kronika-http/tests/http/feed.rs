//! The journal as a live feed.

use crate::support::{Ask, Fixture};
use axum::{body::BodyDataStream, http::StatusCode};
use futures_util::StreamExt;
use kronika_core::{NewEvent, StreamId};
use kronika_http::HttpLimits;
use serde_json::{Value, json};

/// A feed that is being read.
pub struct Reader {
    chunks: BodyDataStream,
    text: String,
}

/// One event of a feed.
pub struct Told {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

impl Reader {
    pub async fn open(service: &Fixture, ask: Ask) -> Self {
        let response = ask.header("accept", "text/event-stream").response(service).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { chunks: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event that has data; `None` at the end.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name));
                    found.unwrap_or_default().trim().to_owned()
                };
                let (id, kind, data) = (field("id:"), field("event:"), field("data:"));
                if !data.is_empty() {
                    return Some(Told { id, kind, data: serde_json::from_str(&data).unwrap() });
                }
            }
            let chunk = self.chunks.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn positions(&mut self, count: usize) -> Vec<u64> {
        let mut positions = Vec::new();
        for _ in 0..count {
            positions.push(self.next().await.unwrap().data["position"].as_u64().unwrap());
        }
        positions
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_tells_what_was_and_what_comes() {
    let service = Fixture::new().await;
    service.account("a1", 1).await;
    let mut feed = Reader::open(&service, Ask::get("/events")).await;
    assert_eq!(feed.positions(2).await, [1, 2]);
    service.account("a2", 0).await;
    let told = feed.next().await.unwrap();
    assert_eq!(told.kind, "");
    assert_eq!(told.data["stream"], "account/a2");
    assert_eq!(told.data["body"], json!({"owner": "ann"}));
    service.account("a2", 300).await;
    assert_eq!(feed.positions(301).await, (4..=304).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_feed_goes_on_where_a_client_left_it() {
    let service = Fixture::new().await;
    service.account("a1", 3).await;
    let mut feed = Reader::open(&service, Ask::get("/events")).await;
    feed.next().await.unwrap();
    let second = feed.next().await.unwrap();
    drop(feed);
    service.account("a2", 0).await;
    // A browser comes again with the address that it began with, and the last id.
    let again = Ask::get("/events?after=1").header("last-event-id", &second.id);
    let mut feed = Reader::open(&service, again).await;
    assert_eq!(feed.positions(3).await, [3, 4, 5]);
    let mut feed = Reader::open(&service, Ask::get(&format!("/events?after={}", second.id))).await;
    assert_eq!(feed.positions(1).await, [3]);
    let mut feed = Reader::open(&service, Ask::get("/events?after=4")).await;
    assert_eq!(feed.positions(1).await, [5]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_from_beyond_the_head_waits_for_what_comes_there() {
    let service = Fixture::new().await;
    let mut feed = Reader::open(&service, Ask::get("/events?after=3")).await;
    service.account("a1", 4).await;
    assert_eq!(feed.positions(2).await, [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_of_another_history_is_refused_before_it_begins() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let feed = |ask: Ask| ask.header("accept", "text/event-stream").of(&service);
    let stale = Ask::get("/events").header("last-event-id", "k1.5.0-1-1");
    feed(stale).await.problem(409, "history-diverged");
    feed(Ask::get("/events").header("last-event-id", "x")).await.problem(400, "bad-parameter");
    feed(Ask::get("/events?after=x")).await.problem(400, "bad-parameter");
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_cannot_go_on_says_why() {
    let service = Fixture::new().await;
    service.account("a1", 0).await;
    let broken =
        NewEvent { name: "opened".into(), schema: 1, body: "{".into(), ..NewEvent::default() };
    let stream = StreamId::new("account", "a2").unwrap();
    service.journal.write_as_stranger(&stream, vec![broken]);
    let mut feed = Reader::open(&service, Ask::get("/events")).await;
    feed.next().await.unwrap();
    let last = feed.next().await.unwrap();
    assert_eq!((last.kind.as_str(), last.id.as_str()), ("problem", ""));
    assert_eq!(last.data["type"], "/problems/not-loadable");
    assert!(feed.next().await.is_none());
    service.get("/events").await.problem(500, "not-loadable");
}

#[tokio::test(start_paused = true)]
async fn feeds_are_bounded_and_make_room_when_they_end() {
    let mut limits = HttpLimits::default();
    limits.feeds = 1;
    let service = Fixture::with(|service| service.limits(limits)).await;
    let feed = Reader::open(&service, Ask::get("/events")).await;
    let second = Ask::get("/events").header("accept", "text/event-stream");
    second.of(&service).await.problem(429, "overloaded");
    drop(feed);
    Reader::open(&service, Ask::get("/events")).await;
}
