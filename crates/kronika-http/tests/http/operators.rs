//! The operator's API: how read models stand, what is parked, acts on both, and the socket that it is served on.

mod acting;
mod parked;
mod refused;
mod socket;
mod told;

use crate::support::{Answer, Fixture, builder};
use axum::http::StatusCode;
use kronika_core::{
    About, Folded, On, Order, PartitionId, Projection, SharedJournal, SharedReadModelStore,
    Timestamp,
};
use kronika_http::{Service, admin};
use kronika_macros::Row;
use kronika_runtime::{Builder, Environment, ProjectionSettings, Store};
use kronika_testkit::{MemoryJournal, MemoryReadModels, MemorySettings};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

use crate::domain::{Account, AccountEvent};

/// Counts the events of each account, and refuses some from their second event on, until it is mended.
#[derive(Clone, Default)]
pub struct Counts<const GENERATION: u32 = 1, const BY_STREAM: bool = false> {
    refuses: Arc<Mutex<HashSet<String>>>,
}

impl<const GENERATION: u32, const BY_STREAM: bool> Counts<GENERATION, BY_STREAM> {
    pub fn refuse(&self, ids: &[&str]) {
        *self.refuses.lock().unwrap() = ids.iter().map(|&id| id.to_owned()).collect();
    }
}

#[derive(Row)]
pub struct Count {
    pub events: i64,
}

impl<const GENERATION: u32, const BY_STREAM: bool> Projection for Counts<GENERATION, BY_STREAM> {
    const NAME: &'static str = "counts";
    const GENERATION: u32 = GENERATION;
    const ORDER: Order = if BY_STREAM { Order::Stream } else { Order::Key };
    type Key = String;
    type Row = Count;
    type Follows = (Account,);
}

impl<const GENERATION: u32, const BY_STREAM: bool> On<Account> for Counts<GENERATION, BY_STREAM> {
    fn keys(&self, _: &AccountEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(
        &self,
        row: &mut Option<Count>,
        key: &String,
        _: &AccountEvent,
        about: &About<'_>,
    ) -> Folded {
        if self.refuses.lock().unwrap().contains(key) && about.version.get() > 1 {
            return Err(format!("{key} is not to my taste").into());
        }
        row.get_or_insert(Count { events: 0 }).events += 1;
        Ok(())
    }
}

pub struct Kept {
    pub journal: MemoryJournal,
    pub read_models: MemoryReadModels,
}

impl Store for Kept {
    fn journal(&self) -> SharedJournal {
        Arc::new(self.journal.clone())
    }
    fn read_models(&self) -> Option<SharedReadModelStore> {
        Some(Arc::new(self.read_models.clone()))
    }
}

/// When everything happens.
pub const NOW: &str = "2026-01-02T03:04:05.000006Z";

/// A service with a projection, whose router is the operator's alone.
pub struct Operated<const GENERATION: u32 = 1, const BY_STREAM: bool = false> {
    pub service: Fixture,
    pub operators: Fixture,
    pub counts: Counts<GENERATION, BY_STREAM>,
}

impl Operated {
    pub async fn new() -> Self {
        Self::of().await
    }
}

impl<const GENERATION: u32, const BY_STREAM: bool> Operated<GENERATION, BY_STREAM> {
    pub async fn of() -> Self {
        Self::started(|builder| builder).await
    }

    pub async fn started(change: impl FnOnce(Builder) -> Builder) -> Self {
        let kept = Kept {
            journal: MemoryJournal::open(MemorySettings::default()),
            read_models: MemoryReadModels::new(),
        };
        Self::on(kept, change).await
    }

    pub async fn on(kept: Kept, change: impl FnOnce(Builder) -> Builder) -> Self {
        let counts = Counts::<GENERATION, BY_STREAM>::default();
        let now = Timestamp::new(1_767_323_045_000_006);
        // What is parked is tried again only when somebody asks.
        let settings =
            ProjectionSettings { parked_retries_max: 0, ..ProjectionSettings::default() };
        let journal = kept.journal.clone();
        let builder = builder(journal.clone())
            .store(kept)
            .environment(Environment::seeded(1, move || now))
            .projection_settings(settings)
            .projection(counts.clone());
        let kronika = change(builder).start().await.unwrap();
        let operators =
            Fixture { journal: journal.clone(), kronika: kronika.clone(), router: admin(&kronika) };
        let service = Fixture::of(journal, kronika, |service: Service| service.admin("/operators"));
        Self { service, operators, counts }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.operators.get(path).await
    }

    /// An act that is taken on.
    pub async fn act(&self, path: &str, more: Value) -> Value {
        self.operators.post(path, body(more)).await.is(StatusCode::ACCEPTED).json()
    }

    /// Asks again until it is so, whenever a status changes and now and then. Only for tests with
    /// `start_paused = true`, where that takes no time.
    pub async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut watch = self.service.kronika.projections().watch("counts").unwrap();
        for _ in 0..10_000 {
            let told = self.get(path).await.json();
            if is_so(&told) {
                return told;
            }
            // An error means that it has ended: what is told tells so.
            let _ = timeout(Duration::from_millis(10), watch.changed()).await;
        }
        panic!("it never was so: {}", self.get(path).await.json());
    }

    /// Until all that is recorded is handled.
    pub async fn caught_up(&self) -> Value {
        let head = self.service.kronika.journal().head(PartitionId::new(0)).await.unwrap();
        let head = head.position.get();
        self.until("/projections/counts", |told| {
            told["projections"].as_array().unwrap().iter().all(|it| {
                let has_all = it["positions"][0]["position"].as_u64().unwrap_or(0) >= head;
                it["state"] == "frozen" || it["state"] == "running" && has_all
            })
        })
        .await
    }

    /// Accounts that are refused, each with an event that waits and two behind it.
    pub async fn parked(&self, ids: &[&str]) {
        self.counts.refuse(ids);
        for id in ids {
            self.service.account(&id.replace('/', "%2F"), 3).await;
        }
        self.until("/projections", |told| told["projections"][0]["letters"] == 3 * ids.len()).await;
    }
}

/// Who and why, and more.
pub fn body(more: Value) -> Value {
    let mut body = json!({"who": "ann", "why": "to try it"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// What stands at each entry of a list.
pub fn each(told: &Value, list: &str, name: &str) -> Vec<Value> {
    told[list].as_array().unwrap().iter().map(|it| it[name].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_services_port_has_the_routes_only_where_they_are_mounted() {
    let operated = Operated::new().await;
    let told = operated.service.get("/operators/projections").await.is(StatusCode::OK).json();
    assert_eq!(each(&told, "projections", "name"), ["counts"]);
    let pause = "/operators/projections/counts/pause";
    operated.service.post(pause, body(json!({}))).await.is(StatusCode::ACCEPTED);
    operated.service.get(pause).await.problem(405, "method-not-allowed");
    operated.service.get("/projections").await.problem(404, "not-found");
    let bare = Fixture::new().await;
    bare.get("/projections").await.problem(404, "not-found");
    bare.get("/operators/projections").await.problem(404, "not-found");
}
