//! Two builds on one journal: the newer lifts what the older recorded, the older refuses what it cannot know.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
use common::{Add, Cart, add, id, service, small};
use kronika_core::{Aggregate, Context, Handle, Lifted, Never, Outcome, Timestamp, Version};
use kronika_macros::Event;
use kronika_runtime::{Aggregates, CommandError, Commands, Environment, Kronika};
use kronika_testkit::MemoryJournal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The cart of a newer build.
#[derive(Default, Serialize, Deserialize)]
struct NewCart {
    items: Vec<String>,
}

#[derive(Event, Serialize, Deserialize)]
enum NewCartEvent {
    #[event(schema = 2, upcast(1 => one_to_several))]
    Added { items: Vec<String> },
}

fn one_to_several(body: Value) -> Lifted {
    let item = body["item"].as_str().filter(|item| *item != "unliftable");
    Ok(json!({ "items": [item.ok_or("the item is none")?] }))
}

impl Aggregate for NewCart {
    const TYPE: &'static str = Cart::TYPE;
    type Id = String;
    type Event = NewCartEvent;
    fn apply(&mut self, NewCartEvent::Added { items }: &NewCartEvent) {
        self.items.extend_from_slice(items);
    }
}

impl Handle<Add> for NewCart {
    type Reply = usize;
    type Rejection = Never;
    fn handle(&self, add: &Add, context: &Context<Self>) -> Outcome<Self, Add> {
        let items = add.items.clone();
        Ok(context.record(NewCartEvent::Added { items }).reply_from(|cart| cart.items.len()))
    }
}

async fn newer(journal: &MemoryJournal) -> (Kronika, Aggregates<NewCart>) {
    let clock = || Timestamp::new(1_700_000_000_000_000);
    let builder = Kronika::builder()
        .journal(Arc::new(journal.clone()))
        .aggregate(Commands::<NewCart>::default().on::<Add>())
        .limits(small())
        .environment(Environment::seeded(7, clock));
    let service = builder.start().await.unwrap();
    let carts = service.aggregates();
    (service, carts)
}

#[tokio::test(start_paused = true)]
async fn older_events_are_lifted_and_newer_ones_refused_by_name() {
    let journal = MemoryJournal::new(1);
    let (running, carts) = service(&journal, small()).await;
    carts.send(&id("a"), add(&["x", "y"])).await.unwrap();
    running.stop().await;

    let (running, carts) = newer(&journal).await;
    assert_eq!(carts.send(&id("a"), add(&["z", "w"])).await.unwrap(), 4);
    let items = carts.look(&id("a"), |cart| cart.items.clone()).await.unwrap().reply;
    assert_eq!(items, ["x", "y", "z", "w"]);
    running.stop().await;

    let (_service, carts) = service(&journal, small()).await;
    let refused = carts.send(&id("a"), add(&["v"])).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        matches!(&refused, CommandError::NotLoadable { stream, version, .. }
            if stream == "cart/a" && version == &Version::new(3)),
        "{refused:?}"
    );
    for part in ["event added of schema 2 is too new", "up to schema 1", "a newer one"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(journal.everything().len(), 2, "nothing was recorded");
}

#[tokio::test(start_paused = true)]
async fn an_upcaster_that_fails_stops_its_stream_alone_and_is_named() {
    let journal = MemoryJournal::new(1);
    let (old, carts) = service(&journal, small()).await;
    for (cart, item) in [("a", "unliftable"), ("b", "x")] {
        carts.send(&id(cart), add(&[item])).await.unwrap();
    }
    old.stop().await;

    let (_service, carts) = newer(&journal).await;
    let refused = carts.send(&id("a"), add(&["y"])).await.unwrap_err();
    let said = refused.to_string();
    assert!(matches!(&refused, CommandError::NotLoadable { .. }), "{refused:?}");
    for part in
        ["cart/a", "version 1", "event added of schema 1 cannot be lifted", "the item is none"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(carts.send(&id("b"), add(&["y"])).await.unwrap(), 2);
}
