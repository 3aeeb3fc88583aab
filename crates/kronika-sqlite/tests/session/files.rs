//! The file: whose it is, locked, full, and closed.

use crate::common::*;
use kronika_sqlite::{
    MigrationError, SessionError, SessionOpenError, SessionSettings, SqliteOpenError,
    SqliteReadModels, SqliteSession, SqliteSettings, rusqlite::Connection,
};
use std::{path::Path, thread, time::Duration};

fn refused(path: &Path) -> SessionOpenError {
    let error = SqliteSession::open(path, settings()).unwrap_err();
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
    assert!(matches!(refused(&path), SessionOpenError::NotADatabase(_)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let path = directory.path().join("foreign");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    assert!(matches!(refused(&path), SessionOpenError::Foreign(_)));

    let path = directory.path().join("newer");
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refused(&path), SessionOpenError::NewerSchema { found: 99, known: 1, .. }));

    let path = directory.path().join("absent").join("tables");
    assert!(matches!(refused(&path), SessionOpenError::Sqlite { .. }));
}

/// A file of read models may be deleted by whoever is in doubt; one of plain tables may not.
#[test]
fn plain_tables_and_read_models_do_not_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (tables, read_models) = (directory.path().join("tables"), directory.path().join("rm"));
    drop(open(&tables));
    drop(SqliteReadModels::open(&read_models, SqliteSettings::default()).unwrap());
    assert!(matches!(refused(&read_models), SessionOpenError::ReadModels(_)));
    let other = SqliteReadModels::open(&tables, SqliteSettings::default());
    assert!(matches!(other, Err(SqliteOpenError::Foreign(_))));
}

#[test]
fn a_new_file_may_be_opened_by_many_at_once() {
    let (_directory, path) = place();
    let patient = SessionSettings { busy_timeout: LONG, readers: 1, ..settings() };
    let starters = (0..8).map(|_| {
        let (path, settings) = (path.clone(), patient.clone());
        thread::spawn(move || drop(SqliteSession::open(path, settings).unwrap()))
    });
    for starter in starters.collect::<Vec<_>>() {
        starter.join().unwrap();
    }
}

#[tokio::test]
async fn commits_are_synced() {
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    let synchronous = session.transaction::<_, SessionError>(|transaction| {
        Ok(number(transaction, "PRAGMA synchronous")?)
    });
    assert_eq!(synchronous.await.unwrap(), 2, "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_within_the_patience() {
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(put(&session, "a").await, Err(SessionError::Unavailable(_))));
    let hurried = SessionSettings { migration_time: Duration::from_millis(300), ..settings() };
    let hurried = SqliteSession::open(&path, hurried).unwrap();
    let migrated = hurried.migrate(&[ACCOUNTS]).await;
    assert!(
        matches!(migrated, Err(MigrationError::Session(SessionError::Unavailable(_)))),
        "{migrated:?}"
    );
    assert_eq!(count(&session).await, 0, "queries do not wait for who writes");
    let patient = SqliteSession::open(&path, SessionSettings { busy_timeout: LONG, ..settings() });
    let patient = patient.unwrap();
    let waits = tokio::spawn({
        let patient = patient.clone();
        async move { put(&patient, "b").await }
    });
    until("it waits for the lock", || patient.stats().transactions == 1);
    other.execute_batch("COMMIT").unwrap();
    waits.await.unwrap().unwrap();
    put(&session, "a").await.unwrap();
    assert_eq!(count(&session).await, 2);
}

#[tokio::test]
async fn a_full_file_refuses_and_takes_more_once_there_is_room() {
    let (_directory, path) = place();
    let bounded = SessionSettings { file_bytes_max: Some(120_000), ..settings() };
    let session = accounts(&path, bounded).await;
    let mut kept = 0;
    let full = loop {
        match put(&session, &format!("{kept}{}", "x".repeat(1000))).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SessionError::Full(_)), "{full:?}");
    assert!(kept > 10);
    assert_eq!(count(&session).await, kept, "nothing is lost");
    // A refused one leaves nothing of itself, however much of it did fit.
    let many = session.transaction::<_, SessionError>(|transaction| {
        add(transaction, "small", 1)?;
        let _ = (0..1000).try_for_each(|number| {
            add(transaction, &format!("more-{number}{}", "x".repeat(1000)), 1).map(drop)
        });
        let _ = add(transaction, "after", 1);
        Ok(())
    });
    assert!(matches!(many.await, Err(SessionError::RolledBack)));
    assert_eq!(count(&session).await, kept);
    session.execute("DELETE FROM accounts WHERE rowid % 2", vec![]).await.unwrap();
    put(&session, "there is room").await.unwrap();
    drop(session);
    let session = open(&path);
    put(&session, &"x".repeat(200_000)).await.unwrap();
}

#[tokio::test]
async fn closing_finishes_what_was_taken_on_and_refuses_the_rest() {
    let (directory, path) = place();
    let session = accounts(&path, settings()).await;
    let mut taken_on: Vec<_> = (0..20)
        .map(|number| {
            let session = session.clone();
            Box::pin(async move { put(&session, &number.to_string()).await })
        })
        .collect();
    for transaction in &mut taken_on {
        std::future::poll_fn(|context| {
            let _ = transaction.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    session.close();
    session.close();
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["tables.sqlite"], "no log is left beside it");
    assert!(matches!(put(&session, "z").await, Err(SessionError::Closed)));
    assert!(matches!(session.query(|_| Ok(())).await, Err(SessionError::Closed)));
    assert_eq!(count(&open(&path)).await, 20);
}
