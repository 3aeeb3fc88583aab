//! Handlers of batches: their own tables, one transaction, and the failing event found by halves.

use crate::common::*;
use kronika_core::{Event, Order, RecordedEvent};
use kronika_runtime::{ProjectionError, ProjectionState, RegisteredProjection};
use kronika_sqlite::{
    BatchHandler, Handled, HandlerTables, SqliteReadModels,
    rusqlite::{Connection, Transaction},
};
use kronika_testkit::MemoryJournal;

/// One line for each event: several rows for a key, which no keyed fold has.
#[derive(Default)]
pub struct Lines {
    pub fails_on: Option<&'static str>,
}

impl BatchHandler for Lines {
    const NAME: &'static str = "lines";
    const FOLLOWS: &'static [&'static str] = &["purse"];
    const TABLES: &'static [&'static str] = &["line"];

    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
        let line = tables.name("line");
        let table = format!("CREATE TABLE {line} (position INTEGER, name TEXT)");
        Ok(transaction.execute_batch(&table)?)
    }

    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled {
        assert!(!events.is_empty());
        let insert = format!("INSERT INTO {} VALUES (?1, ?2)", tables.name("line"));
        let mut insert = transaction.prepare_cached(&insert)?;
        for event in events {
            insert.execute((event.position.get(), &*event.name))?;
            PurseEvent::decode(&event.name, event.schema, &event.body)?;
            match self.fails_on {
                Some("commit") if *event.name == *"closed" => {
                    transaction.execute_batch("COMMIT")?;
                }
                Some("panic") if *event.name == *"closed" => panic!("no way"),
                Some(name) if *event.name == *name => Err(format!("no {name} here"))?,
                _ => {}
            }
        }
        Ok(())
    }
}

async fn lines(read_models: &SqliteReadModels) -> Vec<u64> {
    let lines = |connection: &Connection| {
        let mut select = connection.prepare("SELECT position FROM line ORDER BY position")?;
        select.query_map([], |row| row.get(0))?.collect()
    };
    read_models.query(lines).await.unwrap()
}

fn registered(read_models: &SqliteReadModels, handler: Lines) -> Vec<RegisteredProjection> {
    vec![RegisteredProjection::batches(read_models.handler(handler).unwrap())]
}

#[tokio::test]
async fn each_event_is_handled_once_over_restarts() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    for seed in 0..3 {
        let read_models = open(&directory.path().join("rm"));
        record_by_chance(&journal, seed, 100);
        let projections = start(&journal, &read_models, registered(&read_models, Lines::default()));
        until(&projections, "lines", |status| status.events > seed * 100 + 10).await;
        drop(projections);
    }
    let read_models = open(&directory.path().join("rm"));
    let projections = start(&journal, &read_models, registered(&read_models, Lines::default()));
    caught_up(&journal, &projections).await;
    assert_eq!(lines(&read_models).await, (1..=300).collect::<Vec<_>>());
}

async fn check_failing(fails_on: &'static str, cause: &str) {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    for _ in 0..37 {
        record(&journal, "a", &[added(1)]);
    }
    record(&journal, "b", &[PurseEvent::Closed {}]);
    for _ in 0..20 {
        record(&journal, "a", &[added(1)]);
    }
    let handler = Lines { fails_on: Some(fails_on) };
    let projections =
        start_with(&journal, &read_models, registered(&read_models, handler), Default::default());
    let status = until_failed(&projections, "lines").await;
    let Some(ProjectionError::Event(failure)) = status.error else { panic!("{status:?}") };
    assert_eq!((failure.position.get(), &failure.stream), (38, &stream("b")));
    assert!(failure.cause.contains(cause), "{failure}");
    assert_eq!(status.events, 37);
    assert_eq!(lines(&read_models).await, (1..=37).collect::<Vec<_>>(), "all before it, once");
    // Mended, it goes on from there.
    let projections = start(&journal, &read_models, registered(&read_models, Lines::default()));
    caught_up(&journal, &projections).await;
    assert_eq!(lines(&read_models).await, (1..=58).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failing_event_is_found_and_everything_before_it_committed() {
    check_failing("closed", "no closed here").await;
}

#[tokio::test]
async fn a_panicking_event_is_found_too() {
    check_failing("panic", "it panicked: no way").await;
}

/// By stream: one whose event fails waits, the others go on.
struct ByStream;

impl BatchHandler for ByStream {
    const NAME: &'static str = "lines";
    const ORDER: Order = Order::Stream;
    const FOLLOWS: &'static [&'static str] = &["purse"];
    const TABLES: &'static [&'static str] = &["line"];

    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
        Lines::default().create(tables, transaction)
    }

    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled {
        Lines { fails_on: Some("refused") }.handle(events, tables, transaction)
    }
}

/// A batch that fails is handled by halves until the failing event is known and its stream is parked. The halves
/// behind it, made before that, held events of the stream too: they were handled before the one that waits.
#[tokio::test]
async fn events_of_a_stream_wait_behind_the_one_that_fails_in_all_of_a_batch() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    for number in 1..=64 {
        let failing = [PurseEvent::Refused {}];
        let event = if [3, 10].contains(&number) { &failing } else { &[added(1)] };
        record(&journal, ["a", "b", "c"][number % 3], event);
    }
    let handler = RegisteredProjection::batches(read_models.handler(ByStream).unwrap());
    let projections = start_with(&journal, &read_models, vec![handler], Default::default());
    caught_up(&journal, &projections).await;
    let expected = |rest, from| (1..=64).filter(move |it| it % 3 == rest && *it >= from);
    // Of `a` from the third event on, of `b` from the tenth, all wait, and nothing else.
    let waiting: Vec<u64> = expected(0, 3).chain(expected(1, 10)).collect();
    let handled: Vec<u64> = (1..=64).filter(|it| !waiting.contains(it)).collect();
    assert_eq!(lines(&read_models).await, handled);
    let letters = read_models.query(|connection| {
        let sql = "SELECT position FROM kronika_letters ORDER BY key, arrival";
        connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<Vec<u64>, _>>()
    });
    assert_eq!(letters.await.unwrap(), waiting);
    assert_eq!(projections.status()[0].events, 64);
}

#[tokio::test]
async fn a_handler_that_cannot_make_its_tables_does_not_start() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    struct Broken;
    impl BatchHandler for Broken {
        const NAME: &'static str = "broken";
        const FOLLOWS: &'static [&'static str] = &[];
        const TABLES: &'static [&'static str] = &["x"];
        fn create(&mut self, _: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
            Ok(transaction.execute_batch("CREATE TABEL x")?)
        }
        fn handle(
            &mut self,
            _: &[RecordedEvent],
            _: &HandlerTables,
            _: &Transaction<'_>,
        ) -> Handled {
            unreachable!("it never starts")
        }
    }
    let handler = RegisteredProjection::batches(read_models.handler(Broken).unwrap());
    let projections = start(&journal, &read_models, vec![handler]);
    let error = until_failed(&projections, "broken").await.error.unwrap().to_string();
    assert!(error.contains("broken (generation 1, run 1)") && error.contains("TABEL"), "{error}");
    assert_eq!(projections.status()[0].state, ProjectionState::Failed);
}

/// A commit inside a handler would take the checkpoint's protection away.
#[tokio::test]
async fn a_handler_that_ends_the_transaction_itself_is_refused() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a", &[PurseEvent::Closed {}]);
    let handler = Lines { fails_on: Some("commit") };
    let projections = start(&journal, &read_models, registered(&read_models, handler));
    let error = until_failed(&projections, "lines").await.error.unwrap().to_string();
    assert!(error.contains("ended the transaction itself"), "{error}");
}
