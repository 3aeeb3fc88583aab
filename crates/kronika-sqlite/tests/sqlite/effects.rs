//! Handlers that reach out, with their checkpoint and what is parked in a file.

use crate::common::*;
use kronika_core::{
    About, Act, ActError, Aggregate, Begins, By, EffectError, EffectKey, Effects, Generation,
    KeyText, NewEvent, ParkedRequest, Perform, ProjectionName, ReadModelId, StreamId,
};
use kronika_runtime::{Projections, RegisteredProjection};
use kronika_sqlite::SqliteReadModels;
use kronika_testkit::MemoryJournal;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
};

/// Sends a note about each event, as long as it is of no stream that is refused.
#[derive(Clone, Default)]
struct Notes {
    sent: Arc<Mutex<Vec<Note>>>,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    key: String,
    stream: String,
    version: u64,
}

impl Notes {
    async fn send(&self, about: &About<'_>, key: &EffectKey) -> Result<(), EffectError> {
        tokio::task::yield_now().await;
        if self.refused.lock().unwrap().contains(about.id()) {
            return Err(EffectError::refused("it is not wanted"));
        }
        let (key, version) = (key.to_string(), about.version.get());
        self.sent.lock().unwrap().push(Note { key, stream: about.stream.to_string(), version });
        Ok(())
    }
    fn sent(&self) -> Vec<Note> {
        self.sent.lock().unwrap().clone()
    }
}

impl Effects for Notes {
    const NAME: &'static str = "notes";
    const BEGINS: Begins = Begins::AtStart;
    type Follows = (Purse,);
}

impl Perform<Purse> for Notes {
    async fn perform(
        &self,
        _: &PurseEvent,
        about: &About<'_>,
        key: &EffectKey,
    ) -> Result<(), EffectError> {
        self.send(about, key).await
    }
}

fn registered(notes: &Notes) -> Vec<RegisteredProjection> {
    vec![RegisteredProjection::effects(notes.clone())]
}

fn start_notes(
    journal: &MemoryJournal,
    read_models: &SqliteReadModels,
    notes: &Notes,
) -> Projections {
    start(journal, read_models, registered(notes))
}

async fn noted(journal: &MemoryJournal, projections: &Projections) {
    let waited = projections.wait_for(&["notes"], &head(journal).await, SOON).await;
    assert_eq!(waited, kronika_runtime::Waited::There, "{projections:?}");
}

fn id() -> ReadModelId {
    let name = ProjectionName::new("notes").unwrap();
    ReadModelId { name, generation: Generation::new(1), run: 1 }
}

fn by() -> By {
    By::new("ann", "to see it")
}

/// What must have been sent.
fn all(journal: &MemoryJournal) -> BTreeSet<Note> {
    let appends = journal.everything();
    let note = |event: &kronika_core::RecordedEvent| Note {
        key: format!("notes/{}", event.id),
        stream: event.stream().to_string(),
        version: event.version.get(),
    };
    appends.iter().flat_map(|append| append.events.iter().map(note)).collect()
}

fn crash(path: &Path, journal: &MemoryJournal, notes: &Notes, events: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let read_models = open(path);
        let projections = start_notes(journal, &read_models, notes);
        until(&projections, "notes", |status| status.events >= events).await;
        drop(projections);
    });
}

#[test]
fn over_crashes_each_is_sent_and_few_are_sent_again() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let (path, notes) = (directory.path().join("rm"), Notes::default());
    record_by_chance(&journal, 9, 600);
    for events in [0, 1, 50, 51, 200, 380, 381, 600] {
        crash(&path, &journal, &notes, events);
    }
    let sent = notes.sent();
    assert_eq!(sent.iter().cloned().collect::<BTreeSet<_>>(), all(&journal));
    assert!(sent.len() <= 600 + 8 * 64, "{}", sent.len());
    let mut newest = BTreeMap::new();
    for Note { stream, version, .. } in &sent {
        let newest = newest.entry(stream).or_insert(0);
        assert!(*version <= *newest + 1, "{stream}: {version} after {newest}");
        *newest = version.max(newest).to_owned();
    }
}

#[tokio::test]
async fn a_parked_stream_waits_over_restarts_and_is_sent_in_order_once_mended() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let (path, notes) = (directory.path().join("rm"), Notes::default());
    notes.refused.lock().unwrap().insert("b".to_owned());
    for round in 0..3 {
        let read_models = open(&path);
        let projections = start_notes(&journal, &read_models, &notes);
        ["a", "b", "c"].iter().for_each(|id| record(&journal, id, &[added(1), added(2)]));
        noted(&journal, &projections).await;
        let letters = projections.parked(&id(), None, 10).await.unwrap()[0].letters;
        assert_eq!((notes.sent().len(), letters), (4 * (round + 1), 2 * (round as u64 + 1)));
        projections.stop().await;
    }
    notes.refused.lock().unwrap().clear();
    let read_models = open(&path);
    let projections = start_notes(&journal, &read_models, &notes);
    let key = KeyText::new("purse/b").unwrap();
    // After a start it is tried by itself; whoever asks for it may come too late.
    let _ = projections.act(Act::Parked(id(), key, ParkedRequest::Retry), by()).await;
    until(&projections, "notes", |status| status.parked.is_empty() && status.events == 18).await;
    let of_b = notes.sent().into_iter().filter(|note| note.stream == "purse/b");
    assert_eq!(of_b.map(|note| note.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(notes.sent().into_iter().collect::<BTreeSet<_>>(), all(&journal));
}

#[tokio::test]
async fn it_is_never_built_anew() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let (read_models, notes) = (open(&directory.path().join("rm")), Notes::default());
    let mut both = registered(&notes);
    both.extend(purses());
    let projections = start(&journal, &read_models, both);
    record_by_chance(&journal, 1, 100);
    noted(&journal, &projections).await;
    let rebuild = |name| {
        let name = ProjectionName::new(name).unwrap();
        Act::Rebuild { name, generation: None, hold: false, events_per_second: None }
    };
    projections.act(rebuild("purses"), by()).await.unwrap();
    until(&projections, "purses", |status| status.run == 2 && status.events == 100).await;
    let refused = projections.act(rebuild("notes"), by()).await;
    assert!(matches!(refused, Err(ActError::Refused(_))), "{refused:?}");
    assert_eq!(notes.sent().len(), 100);
    let tables = read_models.query(|it| {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'notes%'";
        it.query_row(sql, [], |row| row.get::<_, u64>(0))
    });
    assert_eq!(tables.await.unwrap(), 0, "it has no table");
}

/// Another aggregate.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Wallet {}

impl Aggregate for Wallet {
    const TYPE: &'static str = "wallet";
    type Id = String;
    type Event = PurseEvent;
    fn apply(&mut self, _: &PurseEvent) {}
}

/// [`Notes`] of a later build, which follows one more aggregate.
struct More(Notes);

impl Effects for More {
    const NAME: &'static str = Notes::NAME;
    const BEGINS: Begins = Begins::AtStart;
    type Follows = (Purse, Wallet);
}

impl Perform<Purse> for More {
    async fn perform(
        &self,
        _: &PurseEvent,
        about: &About<'_>,
        key: &EffectKey,
    ) -> Result<(), EffectError> {
        self.0.send(about, key).await
    }
}

impl Perform<Wallet> for More {
    async fn perform(
        &self,
        _: &PurseEvent,
        about: &About<'_>,
        key: &EffectKey,
    ) -> Result<(), EffectError> {
        self.0.send(about, key).await
    }
}

#[tokio::test]
async fn an_aggregate_that_is_added_is_followed_from_where_the_handler_stands() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let (path, notes) = (directory.path().join("rm"), Notes::default());
    let wallet = || {
        let event =
            NewEvent { name: "closed".into(), schema: 1, body: "{}".into(), ..NewEvent::default() };
        journal.write_as_stranger(&StreamId::new("wallet", "w").unwrap(), vec![event]);
    };
    wallet();
    record(&journal, "a", &[added(1)]);
    let read_models = open(&path);
    let projections = start_notes(&journal, &read_models, &notes);
    noted(&journal, &projections).await;
    projections.stop().await;
    let more = vec![RegisteredProjection::effects(More(notes.clone()))];
    let projections = start(&journal, &read_models, more);
    wallet();
    noted(&journal, &projections).await;
    let sent: Vec<_> = notes.sent().into_iter().map(|note| (note.stream, note.version)).collect();
    assert_eq!(sent, [("purse/a".to_owned(), 1), ("wallet/w".to_owned(), 2)]);
}
