//! Taking over: only by the handler that it was made with, and only of tables that are as they were made.

use crate::common::*;
use kronika_core::{
    Kind, OpenReadModelError, Order, ReadModelSpec, ReadModelStore, StoreFault, Tables, Takeover,
};
use kronika_sqlite::{SqliteReadModels, rusqlite::Connection};

async fn refused(read_models: &SqliteReadModels, spec: ReadModelSpec) -> OpenReadModelError {
    ReadModelStore::open(read_models, spec, 1, Takeover::whole(HERE, 2)).await.unwrap_err()
}

#[tokio::test]
async fn another_handler_under_the_same_generation_is_refused_by_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    take_over(&read_models, 1, 1).await;
    let check = async |change: &dyn Fn(&mut ReadModelSpec), expected: &str| {
        let mut spec = spec(1);
        change(&mut spec);
        let error = refused(&read_models, spec).await;
        assert!(matches!(error, OpenReadModelError::Fingerprint { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("raise GENERATION"), "{text}");
    };
    let then = "generation 1 was made with (then account, purse, now";
    check(
        &|spec| spec.types = vec!["purse".into()],
        &format!("handled types of projection counts are not those that {then} purse)"),
    )
    .await;
    check(&|spec| spec.types.clear(), &format!("{then} all types)")).await;
    check(&|spec| spec.order = Order::Total, "(then key, now total)").await;
    let key = || vec![column("key", Kind::Integer)];
    let row = || vec![column("count", Kind::Integer)];
    let other = vec![column("count", Kind::Text)];
    let tables = Tables::Keyed { key: key(), row: other };
    let expected = "(then (key Integer) -> (count Integer), now (key Integer) -> (count Text))";
    check(&|spec| spec.tables = tables.clone(), expected).await;
    let mut swapped = row();
    swapped.push(column("more", Kind::Bytes));
    let tables = Tables::Keyed { key: key(), row: swapped };
    check(&|spec| spec.tables = tables.clone(), "the tables of projection counts").await;
    // In another order they are the same types.
    let mut same = spec(1);
    same.types.reverse();
    let opened = ReadModelStore::open(&read_models, same, 1, Takeover::whole(HERE, 2)).await;
    opened.unwrap();
}

/// Another run is of the same generation, and so of the same handler.
#[tokio::test]
async fn a_rebuild_is_by_the_handler_of_its_generation() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    take_over(&read_models, 1, 1).await;
    rebuild(&read_models, false).await.unwrap();
    let mut other = spec(1);
    other.order = Order::Total;
    let opened = ReadModelStore::open(&read_models, other, 2, Takeover::whole(HERE, 2)).await;
    assert!(matches!(opened, Err(OpenReadModelError::Fingerprint { what: "order", .. })));
}

#[tokio::test]
async fn what_was_changed_by_hand_is_refused_and_left_alone() {
    let check = async |sql: &str, table: &str, expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rm");
        let read_models = open(&path);
        at(&read_models, &id(1, 1), 5).await;
        let other = Connection::open(&path).unwrap();
        other.execute_batch(sql).unwrap();
        match refused(&read_models, spec(1)).await {
            OpenReadModelError::Store(StoreFault::Changed { table: found, what }) => {
                assert_eq!(found, table, "{sql}: {what}");
                assert!(what.contains(expected), "{sql}: {what}");
            }
            error => panic!("{sql}: {error:?}"),
        }
        drop(other);
    };
    let table = "counts__g1_r1";
    check("DROP VIEW counts; DROP TABLE counts__g1_r1", table, "it is missing").await;
    check("ALTER TABLE counts__g1_r1 ADD COLUMN more TEXT", table, "it is now").await;
    check("CREATE UNIQUE INDEX mine ON counts__g1_r1 (count)", table, "mine was added to it").await;
    let trigger = "CREATE TRIGGER mine AFTER INSERT ON counts__g1_r1 BEGIN SELECT 1; END";
    check(trigger, table, "mine was added to it").await;
    check("DROP VIEW counts; CREATE TABLE counts (a)", "counts", "CREATE TABLE counts (a)").await;
    check("DROP VIEW counts; CREATE VIEW counts AS SELECT 1", "counts", "SELECT 1").await;
    let less = "DELETE FROM kronika_checkpoints WHERE partition = 1";
    check(less, "kronika_checkpoints", "has 1 checkpoints for 2 partitions").await;
    check("DELETE FROM kronika_checkpoints", "kronika_checkpoints", "has 0 checkpoints").await;
    let mixed = "UPDATE kronika_checkpoints SET epoch = 9 WHERE partition = 1";
    check(mixed, "kronika_checkpoints", "of several owners").await;
}

#[tokio::test]
async fn an_index_for_queries_and_a_view_that_is_gone_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    at(&read_models, &id(1, 1), 5).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE INDEX mine ON counts__g1_r1 (count); DROP VIEW counts").unwrap();
    take_over(&read_models, 1, 1).await;
    assert_eq!(shown(&read_models).await, 5);
}

#[tokio::test]
async fn a_table_that_was_not_made_here_is_not_built_upon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE counts__g1_r1 (key, count)").unwrap();
    read_models.begin(spec(1)).await.unwrap();
    let error = refused(&read_models, spec(1)).await.to_string();
    assert!(error.contains("it is there, but was not made here"), "{error}");
    assert_eq!(read_model(&read_models, &id(1, 1)).await.checkpoint, None, "nothing stays");
    other.execute_batch("DROP TABLE counts__g1_r1").unwrap();
    take_over(&read_models, 1, 1).await;
}

#[tokio::test]
async fn tables_that_a_handler_makes_are_not_opened_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let read_models = open(&directory.path().join("rm"));
    let mut own = spec(1);
    own.tables = Tables::Own(vec!["hour"]);
    read_models.begin(own.clone()).await.unwrap();
    let error = refused(&read_models, own.clone()).await.to_string();
    assert!(error.contains("made by a handler"), "{error}");
    // One without tables has a checkpoint all the same.
    let mut none = own;
    (none.name, none.tables) =
        (kronika_core::ProjectionName::new("mails").unwrap(), Tables::Own(vec![]));
    read_models.begin(none.clone()).await.unwrap();
    let opened = ReadModelStore::open(&read_models, none, 1, Takeover::whole(HERE, 2)).await;
    assert_eq!(opened.unwrap().checkpoint.epoch.get(), 1);
}
