//! A file of schema 1 is brought to the present one: what it holds goes on where it stands.

use crate::common::*;
use kronika_core::{
    BatchProjection, Kind, OpenReadModelError, ReadModelStore, RecordedEvent, Stage, StoreFault,
    Tables, Takeover,
};
use kronika_sqlite::{
    BatchHandler, Handled, HandlerTables, SqliteReadModels,
    rusqlite::{Connection, Transaction},
};
use std::path::Path;

/// As the build before made it: two generations of `counts`, of which the second is shown, and a handler's
/// table under its plain name.
const FILE: &str = r#"
PRAGMA journal_mode = wal;
CREATE TABLE kronika_read_models (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    table_sql TEXT, view_sql TEXT,
    PRIMARY KEY (name, generation, run)
) STRICT, WITHOUT ROWID;
CREATE TABLE kronika_checkpoints (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    range_first INTEGER NOT NULL, range_last INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    incarnation TEXT NOT NULL, position INTEGER NOT NULL, event_check INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    events INTEGER NOT NULL, time INTEGER,
    PRIMARY KEY (name, generation, run, range_first, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE kronika_parked (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    key TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
    stream TEXT NOT NULL, version INTEGER NOT NULL,
    cause TEXT NOT NULL, parked INTEGER NOT NULL,
    PRIMARY KEY (name, generation, run, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE "counts__g1_r1" ("key" INTEGER NOT NULL, "count" INTEGER NOT NULL, PRIMARY KEY ("key")) STRICT;
CREATE TABLE "counts__g2_r1" ("key" INTEGER NOT NULL, "count" INTEGER NOT NULL, PRIMARY KEY ("key")) STRICT;
INSERT INTO kronika_read_models SELECT 'counts', 1, 1, sql,
    'CREATE VIEW "counts" AS SELECT "key", "count" FROM "counts__g1_r1"'
    FROM sqlite_schema WHERE name = 'counts__g1_r1';
INSERT INTO kronika_read_models SELECT 'counts', 2, 1, sql,
    'CREATE VIEW "counts" AS SELECT "key", "count" FROM "counts__g2_r1"'
    FROM sqlite_schema WHERE name = 'counts__g2_r1';
INSERT INTO "counts__g1_r1" VALUES (1, 10);
INSERT INTO "counts__g2_r1" VALUES (1, 20);
CREATE VIEW "counts" AS SELECT "key", "count" FROM "counts__g2_r1";
INSERT INTO kronika_checkpoints SELECT 'counts', generation, 1, 0, 1023, partition,
    '00000000000000000000000000000007', 5, 5, 3, 4, 17
    FROM (SELECT 1 AS generation UNION SELECT 2), (SELECT 0 AS partition UNION SELECT 1);
INSERT INTO kronika_read_models VALUES ('hours', 1, 1, NULL, NULL), ('hours', 2, 1, NULL, NULL);
INSERT INTO kronika_checkpoints SELECT 'hours', generation, 1, 0, 1023, 0,
    '00000000000000000000000000000007', 5, 5, 1, 5, NULL
    FROM (SELECT 1 AS generation UNION SELECT 2);
CREATE TABLE hour (hour INTEGER PRIMARY KEY, events INTEGER NOT NULL);
INSERT INTO hour VALUES (1, 5);
PRAGMA application_id = 0x6b726f6e;
PRAGMA user_version = 1;
"#;

fn make(path: &Path) {
    Connection::open(path).unwrap().execute_batch(FILE).unwrap();
}

struct Hours;

impl BatchHandler for Hours {
    const NAME: &'static str = "hours";
    const GENERATION: u32 = 2;
    const FOLLOWS: &'static [&'static str] = &[];
    const TABLES: &'static [&'static str] = &["hour"];
    fn create(&mut self, _: &HandlerTables, _: &Transaction<'_>) -> Handled {
        unreachable!("its table was made")
    }
    fn handle(
        &mut self,
        events: &[RecordedEvent],
        tables: &HandlerTables,
        transaction: &Transaction<'_>,
    ) -> Handled {
        let add = format!("UPDATE {} SET events = events + ?1", tables.name("hour"));
        transaction.execute(&add, [events.len()])?;
        Ok(())
    }
}

#[tokio::test]
async fn what_was_shown_is_live_and_goes_on_where_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    make(&path);
    let read_models = open(&path);
    let all = read_models.read_models().await.unwrap();
    let expected = [(1, 1, Stage::Old), (2, 1, Stage::Live), (2, 1, Stage::Live)];
    assert_eq!(stages_of(&all), expected);
    assert_eq!(all[2].id.name.as_str(), "hours");
    assert_eq!(shown(&read_models).await, 20);
    let opened = take_over(&read_models, 2, 1).await;
    let checkpoint = &opened.checkpoint;
    assert_eq!((checkpoint.epoch.get(), checkpoint.events), (4, 8));
    assert_eq!(checkpoint.seen.marks().collect::<Vec<_>>(), [mark(0, 5), mark(1, 5)]);
    advance(&read_models, &id(2, 1), checkpoint, mark(0, 6), vec![park("2", 6)]).await;
    assert_eq!(shown(&read_models).await, 6);
    // Once is enough.
    drop(read_models);
    let read_models = open(&path);
    assert_eq!(take_over(&read_models, 2, 1).await.parked.len(), 1);
    take_over(&read_models, 1, 1).await;
    assert_eq!(count(&read_models, &id(1, 1), 1).await, Some(10));
}

#[tokio::test]
async fn of_two_the_older_is_live_if_it_is_the_one_that_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    make(&path);
    let view =
        r#"DROP VIEW counts; CREATE VIEW "counts" AS SELECT "key", "count" FROM "counts__g1_r1""#;
    Connection::open(&path).unwrap().execute_batch(view).unwrap();
    let read_models = open(&path);
    assert_eq!(stages(&read_models).await[..2], [(1, 1, Stage::Live), (2, 1, Stage::Old)]);
    take_over(&read_models, 1, 1).await;
    assert_eq!(shown(&read_models).await, 10);
}

#[tokio::test]
async fn other_columns_than_those_of_the_table_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    make(&path);
    let read_models = open(&path);
    let mut other = spec(2);
    let (key, row) = (vec![column("key", Kind::Integer)], vec![column("count", Kind::Text)]);
    other.tables = Tables::Keyed { key, row };
    let refused = ReadModelStore::open(&read_models, other, 1, Takeover::whole(HERE, 2)).await;
    let fingerprint = OpenReadModelError::Fingerprint {
        name: spec(2).name,
        generation: spec(2).generation,
        what: "tables",
        then: r#"CREATE TABLE "counts__g2_r1" ("key" INTEGER NOT NULL, "count" INTEGER NOT NULL, PRIMARY KEY ("key")) STRICT"#.into(),
        now: r#"CREATE TABLE "counts__g2_r1" ("key" INTEGER NOT NULL, "count" TEXT NOT NULL, PRIMARY KEY ("key")) STRICT"#.into(),
    };
    assert_eq!(refused, Err(fingerprint));
    // With its columns it is taken over, and from then on nothing else is.
    take_over(&read_models, 2, 1).await;
    let mut other = spec(2);
    other.types.clear();
    let refused = ReadModelStore::open(&read_models, other, 1, Takeover::whole(HERE, 2)).await;
    assert!(matches!(refused, Err(OpenReadModelError::Fingerprint { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_handlers_tables_get_their_present_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    make(&path);
    let read_models = open(&path);
    let mut hours = read_models.handler(Hours).unwrap();
    let opened = hours.open(1, Takeover::whole(HERE, 1)).await.unwrap();
    assert_eq!(opened.checkpoint.events, 5);
    let batch = kronika_core::Batch::new(vec![event(6)], opened.checkpoint, event(6).mark());
    hours.write(batch, None).await.unwrap();
    let events = async |read_models: &SqliteReadModels, table: &'static str| {
        let sql = format!("SELECT events FROM {table}");
        let events = read_models
            .query(move |connection| connection.query_row(&sql, [], |row| row.get::<_, u64>(0)));
        events.await.unwrap()
    };
    assert_eq!(events(&read_models, "hour").await, 6);
    assert_eq!(events(&read_models, "hours__g2_r1__hour").await, 6);
}

#[tokio::test]
async fn a_handlers_table_that_is_missing_is_not_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    make(&path);
    Connection::open(&path).unwrap().execute_batch("DROP TABLE hour").unwrap();
    let read_models = open(&path);
    let mut hours = read_models.handler(Hours).unwrap();
    let refused = hours.open(1, Takeover::whole(HERE, 1)).await;
    let expected = StoreFault::Changed { table: "hour".into(), what: "it is missing".into() };
    assert_eq!(refused, Err(OpenReadModelError::Store(expected)));
}
