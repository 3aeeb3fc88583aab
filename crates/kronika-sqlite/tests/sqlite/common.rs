//! An aggregate whose events touch one key, two or none, a projection of them, and the fold over the journal
//! that every read model is compared with.

use bytes::Bytes;
use kronika_core::{
    About, Aggregate, Event, Folded, Journal, Lifted, Mark, NewEvent, On, PartitionId, Projection,
    SharedReadModelStore, StreamId, Timestamp, Token,
};
use kronika_macros::{Event, Row};
use kronika_runtime::{
    Environment, ProjectionSettings, ProjectionState, ProjectionStatus, Projections,
    RegisteredProjection, Waited,
};
use kronika_sqlite::{SqliteReadModels, SqliteSettings};
use kronika_testkit::MemoryJournal;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// So long a test waits for what it expects at once.
pub const SOON: Duration = Duration::from_secs(60);

#[derive(Default, Serialize, Deserialize)]
pub struct Purse {}

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
pub enum PurseEvent {
    // Before, it was recorded as "filled", with whole `dollars`.
    #[event(upcast(("filled", 1) => dollars_to_cents))]
    Added {
        cents: i64,
    },
    Moved {
        to: String,
        cents: i64,
    },
    Closed {},
    Refused {},
    Panicked {},
    Ignored {},
}

fn dollars_to_cents(body: serde_json::Value) -> Lifted {
    let dollars = body["dollars"].as_i64().ok_or("dollars is not a whole number")?;
    Ok(serde_json::json!({ "cents": dollars * 100 }))
}

impl Aggregate for Purse {
    const TYPE: &'static str = "purse";
    type Id = String;
    type Event = PurseEvent;
    fn apply(&mut self, _: &PurseEvent) {}
}

#[derive(Row, Debug, Clone, PartialEq)]
pub struct PurseRow {
    pub cents: i64,
    pub events: u64,
    pub last: Timestamp,
    pub note: Option<String>,
    pub rich: bool,
}

/// Counts, so that a repeat or a gap shows.
#[derive(Clone)]
pub struct Purses;

impl Projection for Purses {
    const NAME: &'static str = "purses";
    type Key = String;
    type Row = PurseRow;
    type Follows = (Purse,);
}

impl On<Purse> for Purses {
    fn keys(&self, event: &PurseEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        let mut keys = vec![about.id().to_owned()];
        match event {
            PurseEvent::Moved { to, .. } => keys.push(to.clone()),
            PurseEvent::Ignored {} => keys.clear(),
            _ => {}
        }
        keys
    }

    fn on(
        &self,
        row: &mut Option<PurseRow>,
        key: &String,
        event: &PurseEvent,
        about: &About<'_>,
    ) -> Folded {
        let last = about.time;
        let fresh = PurseRow { cents: 0, events: 0, last, note: None, rich: false };
        let kept = row.get_or_insert(fresh);
        kept.events += 1;
        kept.last = last;
        match event {
            PurseEvent::Added { cents } => kept.cents += cents,
            PurseEvent::Moved { cents, to } if key == to => kept.cents += cents,
            PurseEvent::Moved { cents, to } => {
                kept.cents -= cents;
                kept.note = Some(format!("to {to}"));
            }
            PurseEvent::Closed {} => *row = None,
            PurseEvent::Refused {} => Err("it cannot be")?,
            PurseEvent::Panicked {} => panic!("it must not be"),
            PurseEvent::Ignored {} => unreachable!("it touches no key"),
        }
        if let Some(kept) = row {
            kept.rich = kept.cents > 1000;
        }
        Ok(())
    }
}

pub fn stream(id: &str) -> StreamId {
    StreamId::new("purse", id).unwrap()
}

/// Records events of one purse.
pub fn record(journal: &MemoryJournal, id: &str, events: &[PurseEvent]) {
    let event = |event: &PurseEvent| {
        let mut body = Vec::new();
        event.encode(&mut body).unwrap();
        NewEvent {
            name: event.kind().name.into(),
            schema: event.kind().schema,
            body: Bytes::from(body),
            ..NewEvent::default()
        }
    };
    journal.write_as_stranger(&stream(id), events.iter().map(event).collect());
}

pub fn added(cents: i64) -> PurseEvent {
    PurseEvent::Added { cents }
}

/// Events of some purses by chance, with everything that an honest journal holds.
pub fn record_by_chance(journal: &MemoryJournal, seed: u64, count: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..count {
        let id = format!("p{}", random.u32(..20));
        let cents = random.i64(1..100);
        let event = match random.u32(..10) {
            0 => PurseEvent::Closed {},
            1 => PurseEvent::Ignored {},
            // Also to itself: one key, though it is named twice.
            2 | 3 => PurseEvent::Moved { to: format!("p{}", random.u32(..20)), cents },
            _ => added(cents),
        };
        record(journal, &id, &[event]);
    }
}

/// What the rows must be.
pub fn expected(journal: &MemoryJournal) -> BTreeMap<String, PurseRow> {
    let mut rows = BTreeMap::new();
    for event in journal.everything().iter().flat_map(|append| &append.events) {
        if event.stream().aggregate_type() != Purse::TYPE {
            continue;
        }
        let about = About::of(event);
        let decoded = PurseEvent::decode(&event.name, event.schema, &event.body).unwrap();
        let mut keys: Vec<_> = Purses.keys(&decoded, &about).into_iter().collect();
        keys.dedup();
        for key in keys {
            let mut row = rows.remove(&key);
            Purses.on(&mut row, &key, &decoded, &about).unwrap();
            rows.extend(row.map(|row| (key, row)));
        }
    }
    rows
}

pub async fn found(read_models: &SqliteReadModels) -> BTreeMap<String, PurseRow> {
    let rows = read_models.entries::<String, PurseRow>("SELECT * FROM purses", vec![]).await;
    rows.unwrap().into_iter().collect()
}

pub fn open(path: &Path) -> SqliteReadModels {
    open_with(path, settings())
}

pub fn open_with(path: &Path, settings: SqliteSettings) -> SqliteReadModels {
    SqliteReadModels::open(path, settings).unwrap()
}

/// Little patience with locks: the runner tries again.
pub fn settings() -> SqliteSettings {
    SqliteSettings { busy_timeout: Duration::from_millis(1), ..SqliteSettings::default() }
}

/// Batches of a few events, quick retries.
pub fn small() -> ProjectionSettings {
    ProjectionSettings {
        batch_events_max: 7,
        retry_after_min: Duration::from_millis(1),
        retry_after_max: Duration::from_millis(20),
        ..ProjectionSettings::default()
    }
}

pub fn start(
    journal: &MemoryJournal,
    read_models: &SqliteReadModels,
    registered: Vec<RegisteredProjection>,
) -> Projections {
    start_with(journal, read_models, registered, small())
}

pub fn start_with(
    journal: &MemoryJournal,
    read_models: &SqliteReadModels,
    registered: Vec<RegisteredProjection>,
    settings: ProjectionSettings,
) -> Projections {
    let store: SharedReadModelStore = Arc::new(read_models.clone());
    let (journal, environment) = (Arc::new(journal.clone()), Environment::real());
    Projections::start(journal, Some(store), registered, settings, environment).unwrap()
}

pub fn purses() -> Vec<RegisteredProjection> {
    vec![RegisteredProjection::keyed(Purses)]
}

/// The token of everything that the journal holds.
pub async fn head(journal: &MemoryJournal) -> Token {
    let mark: Mark = Journal::head(journal, PartitionId::new(0)).await.unwrap();
    Token::of(Journal::incarnation(journal), mark)
}

/// Until a projection has all of the journal.
pub async fn caught_up(journal: &MemoryJournal, projections: &Projections) {
    let waited = projections.wait_for(&[], &head(journal).await, SOON).await;
    assert_eq!(waited, Waited::There, "{projections:?}");
}

/// Until a projection's status is as it should be.
pub async fn until(
    projections: &Projections,
    name: &str,
    condition: impl Fn(&ProjectionStatus) -> bool,
) -> ProjectionStatus {
    let mut watch = projections.watch(name).unwrap();
    let status = tokio::time::timeout(SOON, watch.wait_for(|status| condition(status))).await;
    status.unwrap_or_else(|_| panic!("{projections:?}")).unwrap().clone()
}

pub async fn until_failed(projections: &Projections, name: &str) -> ProjectionStatus {
    until(projections, name, |status| status.state == ProjectionState::Failed).await
}
