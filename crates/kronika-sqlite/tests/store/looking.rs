//! Looking from beside: what tools see of a file, and that they leave nothing.

use crate::common::*;
use kronika_core::{Act, ReadModelStore};
use kronika_sqlite::{SqliteOpenError, SqliteReadModels, rusqlite::Connection};
use std::path::Path;

fn files(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Everything that a look gives is what the store gives.
async fn same(read_models: &SqliteReadModels, path: &Path) {
    let look = SqliteReadModels::look(path).unwrap();
    let id = id(1, 1);
    assert_eq!(look.read_models().unwrap(), read_models.read_models().await.unwrap());
    let parked = read_models.parked(&id, None, 9).await.unwrap();
    assert_eq!(look.parked(&id, None, 9).unwrap(), parked);
    assert_eq!(look.parked(&id, Some(&key("a")), 9).unwrap(), parked[1..]);
    let letters = read_models.letters(&id, key("a"), 1, 1).await.unwrap();
    assert_eq!(look.letters(&id, &key("a"), 1, 1).unwrap(), letters);
    assert_eq!(look.acts(9).unwrap(), read_models.acts(9).await.unwrap());
}

async fn filled(path: &Path) -> SqliteReadModels {
    let read_models = open(path);
    let begun = take_over(&read_models, 1, 1).await.checkpoint;
    let changes = vec![park("a", 1), hold("a", 2), park("b", 3)];
    advance(&read_models, &id(1, 1), &begun, mark(0, 3), changes).await;
    act(&read_models, Act::Pause(id(1, 1))).await.unwrap();
    read_models
}

#[tokio::test]
async fn a_look_sees_what_a_running_service_has_committed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = filled(&path).await;
    let before = files(directory.path());
    assert_eq!(before, ["rm", "rm-shm", "rm-wal"], "all of it is still in the log");
    same(&read_models, &path).await;
    assert_eq!(files(directory.path()), before);
    let look = SqliteReadModels::look(&path).unwrap();
    act(&read_models, Act::Resume(id(1, 1))).await.unwrap();
    assert_eq!(look.acts(9).unwrap().len(), 2, "each call sees what stands then");
    // One that looks keeps nobody from writing, and sees on after the service has ended.
    read_models.close();
    assert_eq!(files(directory.path()), ["rm"]);
    assert_eq!(look.acts(9).unwrap().len(), 2);
    let again = open(&path);
    act(&again, Act::Pause(id(1, 1))).await.unwrap();
    assert_eq!(look.acts(9).unwrap().len(), 3);
}

#[tokio::test]
async fn a_look_at_a_file_that_nobody_has_open_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r m?#%2");
    filled(&path).await.close();
    let bytes = std::fs::read(&path).unwrap();
    let look = SqliteReadModels::look(&path).unwrap();
    assert_eq!(look.acts(9).unwrap().len(), 1);
    assert_eq!(files(directory.path()), ["r m?#%2"]);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

/// After a kill the log is there, and holds what is newest.
#[tokio::test]
async fn a_look_after_a_crash_reads_through_the_log_and_leaves_it() {
    for with_index in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (live, left) = (directory.path().join("live"), directory.path().join("left"));
        std::fs::create_dir(&left).unwrap();
        let read_models = filled(&live).await;
        let copy = |suffix: &str| {
            let from = directory.path().join(format!("live{suffix}"));
            std::fs::copy(from, left.join(format!("rm{suffix}"))).unwrap();
        };
        copy("");
        copy("-wal");
        if with_index {
            copy("-shm");
        }
        let before = files(&left);
        same(&read_models, &left.join("rm")).await;
        assert_eq!(files(&left), before);
    }
}

#[tokio::test]
async fn what_is_no_file_of_this_schema_is_not_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| SqliteReadModels::look(path).unwrap_err();
    let path = directory.path().join("absent");
    assert!(matches!(refused(&path), SqliteOpenError::Sqlite { .. }));
    assert_eq!(files(directory.path()), [""; 0]);
    let path = directory.path().join("foreign");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    assert!(matches!(refused(&path), SqliteOpenError::Foreign(_)));
    let path = directory.path().join("older");
    drop(open(&path));
    let set = |schema: u32| {
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", schema).unwrap();
    };
    set(1);
    let older = refused(&path);
    assert!(matches!(older, SqliteOpenError::OlderSchema { found: 1, known: 2, .. }), "{older}");
    set(99);
    assert!(matches!(refused(&path), SqliteOpenError::NewerSchema { found: 99, .. }));
}
