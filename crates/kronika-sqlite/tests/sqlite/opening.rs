//! Opening: one clear line for each thing that can be wrong with the file.

use crate::common::*;
use kronika_core::NewEvent;
use kronika_sqlite::{SqliteOpenError, SqliteReadModels, SqliteSettings, rusqlite::Connection};
use kronika_testkit::MemoryJournal;
use std::path::Path;

fn refused(path: &Path) -> SqliteOpenError {
    let error = SqliteReadModels::open(path, settings()).unwrap_err();
    let line = error.to_string();
    assert!(line.starts_with(&path.display().to_string()) && !line.contains('\n'), "{line}");
    error
}

#[test]
fn what_is_no_file_of_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text");
    let text = "not a database\n".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(refused(&path), SqliteOpenError::NotADatabase(_)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let path = directory.path().join("foreign");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    assert!(matches!(refused(&path), SqliteOpenError::Foreign(_)));

    let path = directory.path().join("newer");
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = refused(&path);
    assert!(matches!(newer, SqliteOpenError::NewerSchema { found: 99, known: 2, .. }), "{newer}");

    let path = directory.path().join("absent").join("rm");
    assert!(matches!(refused(&path), SqliteOpenError::Sqlite { .. }));
    assert!(matches!(refused(directory.path()), SqliteOpenError::Sqlite { .. }));
}

#[test]
fn a_file_that_another_process_holds_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(refused(&path), SqliteOpenError::Locked(_)));
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    drop(open(&path));
}

#[tokio::test]
async fn closing_moves_the_log_into_the_file_and_refuses_everything_after() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    record_by_chance(&journal, 1, 100);
    caught_up(&journal, &projections).await;
    read_models.close();
    read_models.close();
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["rm"], "no log is left beside it");
    let query = read_models.query(|_| Ok(())).await;
    assert!(matches!(query, Err(kronika_sqlite::QueryError::Closed)));
    record(&journal, "a", &[added(1)]);
    let error = until_failed(&projections, "purses").await.error.unwrap().to_string();
    assert_eq!(error, "the read models are closed");
}

#[tokio::test]
async fn a_lock_is_waited_for_and_said_so() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    record_by_chance(&journal, 1, 30);
    caught_up(&journal, &projections).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_by_chance(&journal, 2, 30);
    let status = until(&projections, "purses", |status| {
        status.state == kronika_runtime::ProjectionState::Retrying
    });
    let error = status.await.error.unwrap().to_string();
    assert!(error.contains("cannot be reached now: database is locked"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
    assert_eq!(projections.status()[0].state, kronika_runtime::ProjectionState::Running);
}

#[tokio::test]
async fn a_full_file_is_waited_for_and_nothing_is_lost() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    let bounded = SqliteSettings { file_bytes_max: Some(120_000), ..settings() };
    let read_models = open_with(&path, bounded);
    for number in 0..300 {
        let to = format!("{number}{}", "x".repeat(1000));
        record(&journal, "a", &[PurseEvent::Moved { to, cents: 1 }]);
    }
    let projections = start(&journal, &read_models, purses());
    let status = until(&projections, "purses", |status| {
        status.state == kronika_runtime::ProjectionState::Retrying
    });
    let error = status.await.error.unwrap().to_string();
    assert!(error.contains("have no space"), "{error}");
    projections.stop().await;
    drop((projections, read_models));
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    assert_eq!(found(&read_models).await, expected(&journal));
}

/// Damage in the file shows as such, and is never repaired by building on it.
#[tokio::test]
async fn a_damaged_file_stops_its_projection() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let path = directory.path().join("rm");
    let read_models = open(&path);
    for number in 0..200 {
        record(&journal, &format!("purse-{number}-{}", "x".repeat(100)), &[added(1)]);
    }
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    read_models.close();
    drop(projections);
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    // The pages of the rows come last.
    bytes[(pages - 8) * 4096..].chunks_mut(4096).for_each(|page| page[..100].fill(0xff));
    std::fs::write(&path, bytes).unwrap();
    let read_models = open(&path);
    let projections = start(&journal, &read_models, purses());
    for append in journal.everything() {
        let more =
            NewEvent { name: "closed".into(), schema: 1, body: "{}".into(), ..NewEvent::default() };
        journal.write_as_stranger(&append.header.stream, vec![more]);
    }
    let error = until_failed(&projections, "purses").await.error.unwrap().to_string();
    assert!(error.contains("damaged"), "{error}");
}
