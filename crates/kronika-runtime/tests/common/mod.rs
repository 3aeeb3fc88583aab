//! A cart to send commands to, and a service on a journal in memory.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use kronika_core::{Aggregate, Context, Handle, Never, Outcome, Timestamp, ensure};
use kronika_macros::{Command, Event, Rejection};
use kronika_runtime::{Aggregates, Commands, Environment, Kronika, Limits};
use kronika_testkit::MemoryJournal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Default, Serialize, Deserialize)]
pub struct Cart {
    items: Vec<String>,
}

#[derive(Event, Serialize, Deserialize)]
pub enum CartEvent {
    Added { item: String },
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
#[error("more than nine")]
pub struct TooMany;

impl Aggregate for Cart {
    const TYPE: &'static str = "cart";
    type Id = String;
    type Event = CartEvent;
    fn apply(&mut self, CartEvent::Added { item }: &CartEvent) {
        assert!(item != "spoil", "apply is broken");
        self.items.push(item.clone());
    }
}

/// Adds items, all or none; nothing at all if there are none.
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Add {
    pub items: Vec<String>,
}

impl Handle<Add> for Cart {
    type Reply = usize;
    type Rejection = TooMany;
    fn handle(&self, add: &Add, context: &Context<Self>) -> Outcome<Self, Add> {
        assert!(!add.items.contains(&"panic".into()), "the handler is broken");
        ensure(self.items.len() + add.items.len() <= 9, TooMany)?;
        let added = add.items.iter().map(|item| CartEvent::Added { item: item.clone() });
        Ok(context.record_all(added).reply_from(|cart| cart.items.len()))
    }
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub struct Count {}

impl Handle<Count> for Cart {
    type Reply = usize;
    type Rejection = Never;
    fn handle(&self, _: &Count, context: &Context<Self>) -> Outcome<Self, Count> {
        Ok(context.nothing().reply(self.items.len()))
    }
}

pub fn add(items: &[&str]) -> Add {
    Add { items: items.iter().map(|item| (*item).to_owned()).collect() }
}

pub fn id(id: &str) -> String {
    id.to_owned()
}

/// One shard, so that a test knows who meets whom; time and randomness from a seed.
pub fn small() -> Limits {
    let mut limits = Limits::default();
    limits.shards = 1;
    limits
}

pub async fn service(journal: &MemoryJournal, limits: Limits) -> (Kronika, Aggregates<Cart>) {
    let began = tokio::time::Instant::now();
    let clock = move || Timestamp::new(1_700_000_000_000_000).plus(began.elapsed());
    let service = Kronika::builder()
        .journal(Arc::new(journal.clone()))
        .aggregate(Commands::<Cart>::default().on::<Add>().on::<Count>())
        .limits(limits)
        .environment(Environment::seeded(7, clock))
        .start()
        .await
        .expect("nobody else owns the journal");
    let carts = service.aggregates::<Cart>();
    (service, carts)
}
