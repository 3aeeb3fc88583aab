//! Handlers of batches: tables of their own for each run, one transaction with what is parked, bounded time.

use crate::common::*;
use kronika_core::{
    Act, Batch, BatchError, BatchProjection, Checkpoint, CommitError, LiveHistory,
    OpenReadModelError, Opened, Order, ParkedChange, ReadModelStore, RecordedEvent, SpecError,
    StoreFault, SwitchError, Takeover,
};
use kronika_sqlite::{
    BatchHandler, Handled, HandlerError, HandlerTables, SqliteHandler, SqliteReadModels,
    SqliteSettings,
    rusqlite::{Connection, Transaction},
};
use std::time::Duration;

type Create = fn(&HandlerTables, &Transaction<'_>) -> Handled;
type Handle = fn(&[RecordedEvent], &HandlerTables, &Transaction<'_>) -> Handled;

/// One line for each event.
struct Lines<const GENERATION: u32> {
    create: Create,
    handle: Handle,
}

impl<const GENERATION: u32> Default for Lines<GENERATION> {
    fn default() -> Self {
        Self { create, handle: insert }
    }
}

fn create(tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
    let (line, total) = (tables.name("line"), tables.name("total"));
    Ok(transaction.execute_batch(&format!(
        "CREATE TABLE {line} (position INTEGER NOT NULL, name TEXT NOT NULL);
         CREATE UNIQUE INDEX {line}_position ON {line} (position);
         CREATE TABLE {total} (lines INTEGER NOT NULL); INSERT INTO {total} VALUES (0)",
    ))?)
}

fn insert(events: &[RecordedEvent], tables: &HandlerTables, to: &Transaction<'_>) -> Handled {
    let (line, total) = (tables.name("line"), tables.name("total"));
    let mut insert = to.prepare_cached(&format!("INSERT INTO {line} VALUES (?1, ?2)"))?;
    for event in events {
        insert.execute((event.position.get(), &*event.name))?;
    }
    to.execute(&format!("UPDATE {total} SET lines = lines + ?1"), [events.len()])?;
    Ok(())
}

impl<const GENERATION: u32> BatchHandler for Lines<GENERATION> {
    const NAME: &'static str = "lines";
    const GENERATION: u32 = GENERATION;
    const ORDER: Order = Order::Stream;
    const FOLLOWS: &'static [&'static str] = &["purse"];
    const TABLES: &'static [&'static str] = &["line", "total"];

    fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
        (self.create)(tables, transaction)
    }

    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled {
        assert!(!events.is_empty());
        (self.handle)(events, tables, transaction)
    }
}

fn handler(read_models: &SqliteReadModels) -> SqliteHandler<Lines<1>> {
    read_models.handler(Lines::default()).unwrap()
}

async fn opened(
    projection: &mut dyn BatchProjection,
    run: u32,
) -> Result<Opened, OpenReadModelError> {
    projection.store().begin(projection.spec().clone()).await?;
    projection.open(run, Takeover::whole(HERE, 1)).await
}

/// Events from one position to another, inclusive.
fn batch(stands: &Checkpoint, from: u64, to: u64) -> Batch {
    let events = (from..=to).map(event).collect::<Vec<_>>();
    let scanned = events.last().unwrap().mark();
    Batch::new(events, stands.clone(), scanned)
}

async fn write(projection: &mut dyn BatchProjection, batch: Batch) -> Result<(), BatchError> {
    let parked = projection.write(batch, None).await?;
    assert_eq!(parked, kronika_core::Written::default(), "the runner parks by stream");
    Ok(())
}

async fn lines(read_models: &SqliteReadModels, table: &'static str) -> Vec<u64> {
    let lines = move |connection: &Connection| {
        let sql = format!("SELECT position FROM {table} ORDER BY position");
        let mut select = connection.prepare(&sql)?;
        select.query_map([], |row| row.get(0))?.collect()
    };
    read_models.query(lines).await.unwrap()
}

#[tokio::test]
async fn each_run_has_tables_of_its_own_and_the_plain_names_show_the_live_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let mut live = handler(&read_models);
    assert_eq!(live.spec().order, Order::Stream);
    let stands = opened(&mut live, 1).await.unwrap().checkpoint;
    write(&mut live, batch(&stands, 1, 3)).await.unwrap();
    let name = live.spec().name.clone();
    let rebuild = Act::Rebuild { name, generation: None, hold: false, events_per_second: None };
    act(&read_models, rebuild).await.unwrap();
    let mut new = live.another();
    let begun = opened(&mut *new, 2).await.unwrap().checkpoint;
    let first = batch(&begun, 1, 2);
    write(&mut *new, first.clone()).await.unwrap();
    assert_eq!(lines(&read_models, "line").await, [1, 2, 3]);
    assert_eq!(lines(&read_models, "lines__g1_r2__line").await, [1, 2]);
    let of = |run| kronika_core::ReadModelId { run, ..id_of(live.spec()) };
    let store = live.store();
    assert_eq!(
        store.switch(&of(2), LiveHistory::Unquestioned).await,
        Err(SwitchError::Behind { id: of(2) })
    );
    write(&mut *new, batch(&first.next, 3, 4)).await.unwrap();
    store.switch(&of(2), LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(lines(&read_models, "line").await, [1, 2, 3, 4]);
    act(&read_models, Act::Drop(of(1))).await.unwrap();
    drop((live, new, store, read_models));
    let read_models = open(&path);
    let opened = opened(&mut handler(&read_models), 2).await.unwrap();
    assert_eq!((opened.checkpoint.epoch.get(), opened.checkpoint.events), (2, 4));
    assert_eq!(lines(&read_models, "line").await, [1, 2, 3, 4]);
    let left = read_models.query(|connection| {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\\_r1\\_%' ESCAPE '\\'";
        connection.query_row(sql, [], |row| row.get::<_, u32>(0))
    });
    assert_eq!(left.await.unwrap(), 0, "the dropped one's tables are gone");
}

fn id_of(spec: &kronika_core::ReadModelSpec) -> kronika_core::ReadModelId {
    kronika_core::ReadModelId { name: spec.name.clone(), generation: spec.generation, run: 1 }
}

/// Plain names that only the generation before had are shown no more.
#[tokio::test]
async fn views_of_tables_that_the_live_one_does_not_have_are_gone() {
    struct Fewer;
    impl BatchHandler for Fewer {
        const NAME: &'static str = "lines";
        const GENERATION: u32 = 2;
        const FOLLOWS: &'static [&'static str] = &[];
        const TABLES: &'static [&'static str] = &["line"];
        fn create(&mut self, tables: &HandlerTables, transaction: &Transaction<'_>) -> Handled {
            let create = format!("CREATE TABLE {} (position INTEGER)", tables.name("line"));
            Ok(transaction.execute_batch(&create)?)
        }
        fn handle(
            &mut self,
            _: &[RecordedEvent],
            _: &HandlerTables,
            _: &Transaction<'_>,
        ) -> Handled {
            Ok(())
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    opened(&mut handler(&read_models), 1).await.unwrap();
    let mut fewer = read_models.handler(Fewer).unwrap();
    opened(&mut fewer, 1).await.unwrap();
    let views = async || {
        let views = read_models.query(|connection| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name";
            let mut select = connection.prepare(sql)?;
            select.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
        });
        views.await.unwrap()
    };
    assert_eq!(views().await, ["line", "total"]);
    read_models.switch(&id_of(fewer.spec()), LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(views().await, ["line"]);
    let back = id_of(handler(&read_models).spec());
    read_models.switch(&back, LiveHistory::Unquestioned).await.unwrap();
    assert_eq!(views().await, ["line", "total"]);
}

async fn refused_create(create: Create) -> String {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let other = read_models.begin(spec(1)).await.unwrap();
    take_over(&read_models, 1, 1).await;
    let mut broken = read_models.handler(Lines::<1> { create, handle: insert }).unwrap();
    let error = opened(&mut broken, 1).await.unwrap_err();
    assert!(matches!(error, OpenReadModelError::Store(StoreFault::Refused(_))), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("the tables of lines (generation 1, run 1): "), "{text}");
    let stays = read_models.begin(spec(1)).await.unwrap();
    assert_eq!(stays[0].id, other[0].id);
    opened(&mut handler(&read_models), 1).await.expect("nothing of it stayed");
    text
}

#[tokio::test]
async fn a_handler_makes_the_tables_that_it_declares_and_no_others() {
    let error = refused_create(|_, transaction| Ok(transaction.execute_batch("CREATE TABEL x")?));
    assert!(error.await.contains("TABEL"));
    let error = refused_create(|tables, transaction| {
        let line = tables.name("line");
        Ok(transaction.execute_batch(&format!("CREATE TABLE {line} (position)"))?)
    });
    assert!(
        error.await.contains("total is in TABLES, but create made no table lines__g1_r1__total")
    );
    let error = refused_create(|tables, transaction| {
        create(tables, transaction)?;
        Ok(transaction.execute_batch("CREATE TABLE more (a)")?)
    });
    assert!(error.await.contains("made or changed table more, which is not in TABLES"));
    let error = refused_create(|tables, transaction| {
        create(tables, transaction)?;
        Ok(transaction.execute_batch("DROP VIEW counts")?)
    });
    assert!(error.await.contains("made or changed view counts"));
    let error = refused_create(|tables, _| {
        tables.name("lime");
        Ok(())
    });
    assert!(error.await.contains("it panicked: table lime is not declared in TABLES"));
}

#[tokio::test]
async fn what_a_handler_made_is_seen_when_it_is_changed_by_hand() {
    let check = async |sql: &str, expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rm");
        let read_models = open(&path);
        opened(&mut handler(&read_models), 1).await.unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = opened(&mut handler(&read_models), 1).await.unwrap_err();
        let changed = matches!(error, OpenReadModelError::Store(StoreFault::Changed { .. }));
        assert!(changed && error.to_string().contains(expected), "{sql}: {error}");
    };
    check("DROP VIEW total; DROP TABLE lines__g1_r1__total", "it is missing").await;
    check("ALTER TABLE lines__g1_r1__line ADD COLUMN more", "it is now").await;
    check("DROP INDEX lines__g1_r1__line_position", "a trigger or an index of it is missing").await;
    check("CREATE UNIQUE INDEX mine ON lines__g1_r1__line (name)", "mine was added to it").await;
    check("DROP VIEW line; CREATE TABLE line (a)", "should be, there is").await;
}

#[tokio::test]
async fn a_plain_name_that_is_taken_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE line (mine)").unwrap();
    let error = opened(&mut handler(&read_models), 1).await.unwrap_err();
    assert!(
        matches!(error, OpenReadModelError::Store(StoreFault::Changed { table, .. }) if table == "line")
    );
}

#[tokio::test]
async fn what_is_declared_wrongly_is_not_registered() {
    struct Wrong<const ORDER: bool, const TWICE: bool>;
    impl<const ORDER: bool, const TWICE: bool> BatchHandler for Wrong<ORDER, TWICE> {
        const NAME: &'static str = "wrong";
        const ORDER: Order = if ORDER { Order::Key } else { Order::Total };
        const FOLLOWS: &'static [&'static str] = &[];
        const TABLES: &'static [&'static str] = if TWICE { &["a", "b", "a"] } else { &["a__b"] };
        fn create(&mut self, _: &HandlerTables, _: &Transaction<'_>) -> Handled {
            unreachable!("it never starts")
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
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let by_key = read_models.handler(Wrong::<true, true>).unwrap_err();
    assert_eq!(by_key, HandlerError::OrderByKey("wrong"));
    let twice = read_models.handler(Wrong::<false, true>).unwrap_err();
    assert_eq!(twice, HandlerError::TwoTables { handler: "wrong", table: "a" });
    let name = read_models.handler(Wrong::<false, false>).unwrap_err();
    assert_eq!(name, HandlerError::Spec(SpecError::Name("a__b".to_owned())));
}

#[tokio::test]
async fn tables_checkpoint_and_what_is_parked_change_together() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let mut projection = handler(&read_models);
    let stands = opened(&mut projection, 1).await.unwrap().checkpoint;
    let id = id_of(projection.spec());
    // Of five events, two wait for their stream.
    let mut read = batch(&stands, 1, 5);
    read.parked = vec![park("purse/a", 2)];
    let held = read.hold(|event| (event.position.get() >= 4).then(|| key("purse/a")));
    write(&mut projection, held.clone()).await.unwrap();
    assert_eq!(lines(&read_models, "line").await, [1, 2, 3]);
    let parked = read_models.parked(&id, None, 10).await.unwrap();
    assert_eq!((parked.len(), parked[0].letters), (1, 3));
    assert_eq!(read_model(&read_models, &id).await.checkpoint, Some(held.next.clone()));
    // Sent again: all of it is refused.
    let again = write(&mut projection, held.clone()).await;
    assert!(matches!(again, Err(BatchError::Commit(CommitError::Stale { .. }))), "{again:?}");
    // A batch whose change does not fit leaves nothing.
    let mut wrong = batch(&held.next, 6, 7);
    wrong.parked = vec![park("purse/a", 6)];
    let refused = write(&mut projection, wrong).await;
    assert!(matches!(refused, Err(BatchError::Commit(CommitError::Store(_)))), "{refused:?}");
    // A drain handles the letters behind the checkpoint, which stays.
    let letters = vec![event(4), event(5)];
    let mut drain = Batch::drain(letters, key("purse/a"), held.next.clone());
    drain.parked.push(take("purse/a", 2));
    drain.parked.push(ParkedChange::Lift { key: key("purse/a") });
    write(&mut projection, drain).await.unwrap();
    assert_eq!(lines(&read_models, "line").await, [1, 2, 3, 4, 5]);
    assert_eq!(read_models.parked(&id, None, 10).await.unwrap(), []);
    assert_eq!(read_model(&read_models, &id).await.checkpoint, Some(held.next));
}

async fn refused_batch(handle: Handle) -> BatchError {
    refused_batch_within(SqliteSettings::default().handler_time_max, handle).await
}

async fn refused_batch_within(handler_time_max: Duration, handle: Handle) -> BatchError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    // Its tables are made without haste.
    opened(&mut handler(&read_models), 1).await.unwrap();
    drop(read_models);
    let settings = SqliteSettings { handler_time_max, ..settings() };
    let read_models = SqliteReadModels::open(path, settings).unwrap();
    let mut broken = read_models.handler(Lines::<1> { create, handle }).unwrap();
    let stands = opened(&mut broken, 1).await.unwrap().checkpoint;
    let error = write(&mut broken, batch(&stands, 1, 3)).await.unwrap_err();
    assert_eq!(lines(&read_models, "line").await, [0; 0], "nothing of it stays");
    assert_eq!(read_model(&read_models, &id_of(broken.spec())).await.checkpoint, Some(stands));
    error
}

#[tokio::test]
async fn a_handler_that_fails_leaves_nothing() {
    let handler = |cause: &str| BatchError::Handler(cause.to_owned());
    let error = refused_batch(|events, tables, transaction| {
        insert(events, tables, transaction)?;
        Err("no".into())
    });
    assert_eq!(error.await, handler("no"));
    let error = refused_batch(|events, tables, transaction| {
        insert(events, tables, transaction)?;
        panic!("no way")
    });
    assert_eq!(error.await, handler("it panicked: no way"));
    let error = refused_batch(|_, _, transaction| Ok(transaction.execute_batch("ROLLBACK")?));
    assert_eq!(error.await, handler("the handler ended the transaction itself"));
}

const ENDLESS: &str =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

#[tokio::test]
async fn a_handler_that_takes_too_long_is_interrupted() {
    let within = |handle| refused_batch_within(Duration::from_millis(50), handle);
    let late = "it took longer than handler_time_max, 50ms";
    let error = within(|events, tables, transaction| {
        insert(events, tables, transaction)?;
        transaction.query_row(ENDLESS, [], |_| Ok(()))?;
        Ok(())
    });
    assert_eq!(error.await, BatchError::Handler(late.to_owned()));
    // One that hides the interruption has not succeeded either.
    let error = within(|events, tables, transaction| {
        insert(events, tables, transaction)?;
        let _ = transaction.query_row(ENDLESS, [], |_| Ok(()));
        Ok(())
    });
    assert_eq!(error.await, BatchError::Handler(late.to_owned()));
    let error = within(|_, _, transaction| {
        let _ = transaction.query_row(ENDLESS, [], |_| Ok(()));
        Err("I gave up".into())
    });
    assert_eq!(error.await, BatchError::Handler(format!("{late}: I gave up")));
}

#[tokio::test]
async fn making_tables_is_bounded_too_and_the_next_job_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { handler_time_max: Duration::from_millis(50), ..settings() };
    let read_models = SqliteReadModels::open(directory.path().join("rm"), settings).unwrap();
    let slow: Create = |_, transaction| {
        transaction.query_row(ENDLESS, [], |_| Ok(()))?;
        Ok(())
    };
    let mut broken = read_models.handler(Lines::<1> { create: slow, handle: insert }).unwrap();
    let error = opened(&mut broken, 1).await.unwrap_err().to_string();
    assert!(error.contains("it took longer than handler_time_max, 50ms"), "{error}");
    at(&read_models, &id(1, 1), 5).await;
}
