//! Tables as others may find them: plain, under the projection's name, and refused once changed by hand.

use crate::common::*;
use kronika_core::{About, Folded, Key, Kind, On, Projection, Row, Timestamp};
use kronika_macros::{Key, Row};
use kronika_runtime::{ProjectionState, ProjectionStatus, Projections, RegisteredProjection};
use kronika_sqlite::rusqlite::Connection;
use kronika_testkit::MemoryJournal;

/// Changes the file after a projection has made its table, and gives the error of the next start.
async fn changed(change: &str) -> String {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    record_by_chance(&journal, 1, 30);
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    drop((projections, read_models));
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    record_by_chance(&journal, 2, 30);
    until_failed(&projections, "purses").await.error.unwrap().to_string()
}

#[tokio::test]
async fn tables_changed_by_hand_are_refused_by_name() {
    for (change, clue) in [
        ("ALTER TABLE purses__g1_r1 ADD COLUMN colour TEXT", "it is now"),
        ("DROP VIEW purses; DROP TABLE purses__g1_r1", "it is missing"),
        ("CREATE UNIQUE INDEX one ON purses__g1_r1 (key, cents)", "one was added to it"),
        ("CREATE TRIGGER t AFTER INSERT ON purses__g1_r1 BEGIN SELECT 1; END", "t was added to it"),
    ] {
        let error = changed(change).await;
        assert!(error.starts_with("table purses__g1_r1 was changed by hand: "), "{error}");
        assert!(error.contains(clue), "{error}");
    }
    let error = changed("DROP VIEW purses; CREATE TABLE purses (x)").await;
    assert!(error.starts_with("table purses was changed by hand"), "{error}");
    let error = changed("DELETE FROM kronika_checkpoints").await;
    assert!(error.starts_with("table kronika_checkpoints was changed by hand"), "{error}");
    // Their rows would be counted twice if it were begun anew over them.
    let error = changed("UPDATE kronika_checkpoints SET position = position - 1").await;
    assert!(error.starts_with("history diverged"), "{error}");
    let error = changed("UPDATE purses__g1_r1 SET rich = 2").await;
    assert!(error.starts_with("table purses__g1_r1 was changed by hand: "), "{error}");
    assert!(error.contains("column rich of kind Boolean holds"), "{error}");
}

#[tokio::test]
async fn an_index_for_queries_and_a_lost_view_do_no_harm() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    record_by_chance(&journal, 1, 30);
    caught_up(&journal, &projections).await;
    drop((projections, read_models));
    let change = "CREATE INDEX by_cents ON purses__g1_r1 (cents); DROP VIEW purses";
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    record_by_chance(&journal, 2, 30);
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
}

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Day {
    owner: String,
    order: i64,
}

#[derive(Row, PartialEq, Debug)]
struct DayRow {
    group: String,
    bytes: Vec<u8>,
    at: Option<Timestamp>,
    ratio: f64,
    open: bool,
    count: u32,
}

/// Every kind of column, words of SQL for names, and a key of two columns.
struct Days;

impl Projection for Days {
    const NAME: &'static str = "order";
    type Key = Day;
    type Row = DayRow;
    type Follows = (Purse,);
}

impl On<Purse> for Days {
    fn keys(&self, _: &PurseEvent, about: &About<'_>) -> impl IntoIterator<Item = Day> {
        [Day { owner: about.id().to_owned(), order: -1 }]
    }
    fn on(&self, row: &mut Option<DayRow>, _: &Day, _: &PurseEvent, about: &About<'_>) -> Folded {
        *row = Some(DayRow {
            group: "'; DROP TABLE x; --\0ü".to_owned(),
            bytes: vec![0, 255],
            at: Some(about.time),
            ratio: -0.5,
            open: true,
            count: u32::MAX,
        });
        Ok(())
    }
}

#[tokio::test]
async fn every_kind_of_column_under_any_name_is_read_as_it_was_written() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a'\"b", &[added(1), added(2)]);
    let projections = start(&journal, &read_models, vec![RegisteredProjection::keyed(Days)]);
    caught_up(&journal, &projections).await;
    record(&journal, "a'\"b", &[added(3)]);
    caught_up(&journal, &projections).await;
    let key = Day { owner: "a'\"b".to_owned(), order: -1 };
    let row = read_models.row::<Days>(&key).await.unwrap().unwrap();
    let time = journal.everything()[1].header.time;
    assert_eq!((row.group.as_str(), row.count), ("'; DROP TABLE x; --\0ü", u32::MAX));
    assert_eq!((row.bytes, row.at, row.ratio, row.open), (vec![0, 255], Some(time), -0.5, true));
    assert!(DayRow::COLUMNS.iter().any(|column| column.kind == Kind::Bytes));
    assert_eq!(Day::COLUMNS.len(), 2);
}

/// The handler's second edition: other columns, under the same name.
struct PursesAgain;

impl Projection for PursesAgain {
    const NAME: &'static str = "purses";
    const GENERATION: u32 = 2;
    type Key = String;
    type Row = Total;
    type Follows = (Purse,);
}

#[derive(Row)]
struct Total {
    total: i64,
}

impl On<Purse> for PursesAgain {
    fn keys(&self, _: &PurseEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(&self, row: &mut Option<Total>, _: &String, event: &PurseEvent, _: &About<'_>) -> Folded {
        if let PurseEvent::Added { cents } = event {
            row.get_or_insert(Total { total: 0 }).total += cents;
        }
        Ok(())
    }
}

/// The same generation with other columns.
struct PursesWrong;

impl Projection for PursesWrong {
    const NAME: &'static str = "purses";
    type Key = String;
    type Row = Total;
    type Follows = (Purse,);
}

impl On<Purse> for PursesWrong {
    fn keys(&self, event: &PurseEvent, about: &About<'_>) -> impl IntoIterator<Item = String> {
        PursesAgain.keys(event, about)
    }
    fn on(
        &self,
        row: &mut Option<Total>,
        key: &String,
        event: &PurseEvent,
        about: &About<'_>,
    ) -> Folded {
        PursesAgain.on(row, key, event, about)
    }
}

async fn until_live(projections: &Projections, generation: u32) {
    let live = |status: &ProjectionStatus| {
        status.state == ProjectionState::Running && status.generation.get() == generation
    };
    until(projections, "purses", live).await;
}

#[tokio::test]
async fn a_generation_has_a_table_of_its_own_and_other_columns_need_one() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let read_models = open(&directory.path().join("rm"));
    record(&journal, "a", &[added(1), added(2)]);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    drop(projections);
    let wrong = vec![RegisteredProjection::keyed(PursesWrong)];
    let projections = start(&journal, &read_models, wrong);
    let error = until_failed(&projections, "purses").await.error.unwrap().to_string();
    assert!(error.contains("raise GENERATION"), "{error}");
    drop(projections);
    let again = vec![RegisteredProjection::keyed(PursesAgain)];
    let projections = start(&journal, &read_models, again);
    record(&journal, "a", &[added(4)]);
    until_live(&projections, 2).await;
    caught_up(&journal, &projections).await;
    let row = read_models.row::<PursesAgain>(&"a".to_owned()).await.unwrap().unwrap();
    assert_eq!(row.total, 7, "built from the journal's beginning");
    drop(projections);
    // Back to the older build: its own rows go on from its own checkpoint, and are shown once they have caught up.
    let projections = start(&journal, &read_models, purses());
    until_live(&projections, 1).await;
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
}
