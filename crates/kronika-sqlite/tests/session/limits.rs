//! Limits: in time and in number, for queries and transactions.

use crate::common::*;
use kronika_core::Value;
use kronika_macros::Row;
use kronika_sqlite::{
    QueryLimits, SessionError, SessionSettings, SqliteSession,
    rusqlite::{self, Connection, Transaction},
};
use std::{
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc::Sender, task::JoinHandle};

const SHORT: Duration = Duration::from_millis(50);

fn short() -> SessionSettings {
    let query_limits = QueryLimits { time: SHORT, rows: 3 };
    SessionSettings { readers: 1, query_limits, transaction_time: SHORT, ..settings() }
}

/// One thread of each kind, and queues of two.
fn narrow() -> SessionSettings {
    let query_limits = QueryLimits { time: LONG, ..QueryLimits::default() };
    SessionSettings {
        readers: 1,
        queries_waiting_max: 2,
        transactions_waiting_max: 2,
        query_limits,
        ..settings()
    }
}

#[track_caller]
fn is_late<T: std::fmt::Debug>(result: Result<T, SessionError>) {
    assert!(matches!(result, Err(SessionError::TookTooLong(SHORT))), "{result:?}");
}

#[tokio::test]
async fn what_takes_too_long_is_interrupted_and_rolled_back() {
    let (_directory, path) = place();
    let session = accounts(&path, short()).await;
    let began = Instant::now();
    is_late(session.query(|connection| number(connection, ENDLESS)).await);
    let endless = |transaction: &Transaction<'_>| {
        add(transaction, "a", 1)?;
        Ok(number(transaction, ENDLESS)?)
    };
    is_late(session.transaction(endless).await);
    // Interrupted while it writes, SQLite rolls back by itself; the code goes on as if nothing were.
    let goes_on = |transaction: &Transaction<'_>| {
        let many = format!("INSERT INTO accounts SELECT 'n' || x, x FROM ({})", ENDLESS_ROWS);
        assert!(transaction.execute(&many, []).is_err());
        let _ = add(transaction, "after", 1);
        Ok(())
    };
    is_late(session.transaction(goes_on).await);
    assert!(began.elapsed() < LONG);
    assert_eq!(session.stats().transactions_interrupted, 2);
    assert_eq!(session.stats().queries_interrupted, 1);
    assert_eq!(count(&session).await, 0, "the threads go on");
}

const ENDLESS_ROWS: &str =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";

/// Statements that are too short to be interrupted, each prepared anew or from the cache, without an end.
#[tokio::test]
async fn many_short_statements_are_interrupted_too() {
    let (_directory, path) = place();
    let session = accounts(&path, short()).await;
    let prepared_anew = |transaction: &Transaction<'_>| loop {
        transaction.execute("INSERT INTO accounts VALUES (random(), 1)", [])?;
    };
    is_late::<()>(session.transaction(prepared_anew).await);
    let cached = |transaction: &Transaction<'_>| loop {
        add(transaction, "a", 1)?;
    };
    is_late::<()>(session.transaction(cached).await);
    assert_eq!(count(&session).await, 0);
}

/// A transaction whose code is done in time, but only just, is not committed after it.
#[tokio::test]
async fn time_outside_sqlite_counts_too() {
    let (_directory, path) = place();
    let session = accounts(&path, short()).await;
    let slow = |transaction: &Transaction<'_>| {
        add(transaction, "a", 1)?;
        let began = Instant::now();
        while began.elapsed() < SHORT {
            std::hint::spin_loop();
        }
        Ok(())
    };
    is_late(session.transaction(slow).await);
    assert_eq!(count(&session).await, 0);
}

#[derive(Row, Debug)]
struct Name {
    name: String,
}

#[tokio::test]
async fn rows_are_bounded() {
    let (_directory, path) = place();
    let session =
        accounts(&path, SessionSettings { query_limits: short().query_limits, ..settings() });
    let session = session.await;
    for name in ["a", "b", "c", "d"] {
        put(&session, name).await.unwrap();
    }
    let few = session.rows::<Name>(
        "SELECT name FROM accounts WHERE name < ?1",
        vec![Value::Text("d".to_owned())],
    );
    assert_eq!(few.await.unwrap().len(), 3);
    let many = session.rows::<Name>("SELECT name FROM accounts", vec![]).await;
    assert!(matches!(many, Err(SessionError::TooManyRows(3))));
}

#[tokio::test]
async fn what_nobody_waits_for_is_interrupted() {
    let (_directory, path) = place();
    let session = accounts(&path, narrow()).await;
    let abort = async |begin: fn(SqliteSession, Sender<()>) -> JoinHandle<()>| {
        let (started, mut running) = tokio::sync::mpsc::channel(1);
        let task = begin(session.clone(), started);
        running.recv().await.unwrap();
        task.abort();
        assert_eq!(count(&session).await, 0, "the only thread is free again");
        session.transaction(|_| Ok::<_, SessionError>(())).await.unwrap();
    };
    abort(|session, started| {
        tokio::spawn(async move {
            let query = move |connection: &Connection| {
                started.blocking_send(()).unwrap();
                number(connection, ENDLESS)
            };
            session.query(query).await.unwrap();
        })
    })
    .await;
    abort(|session, started| {
        tokio::spawn(async move {
            let work = move |transaction: &Transaction<'_>| -> Result<u64, SessionError> {
                add(transaction, "a", 1)?;
                started.blocking_send(()).unwrap();
                Ok(number(transaction, ENDLESS)?)
            };
            session.transaction(work).await.unwrap();
        })
    })
    .await;
    assert_eq!(session.stats().queries_interrupted, 1);
    assert_eq!(session.stats().transactions_interrupted, 1);
}

/// Polls once.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn what_does_not_fit_a_queue_is_refused() {
    let (_directory, path) = place();
    let session = accounts(&path, narrow()).await;
    let (started, mut running) = tokio::sync::mpsc::channel(2);
    let busy = || {
        let (release, released) = mpsc::channel::<()>();
        let started = started.clone();
        let wait = move || {
            started.blocking_send(()).unwrap();
            released.recv().unwrap();
        };
        (release, wait)
    };
    let (release_query, wait) = busy();
    let mut query = Box::pin(session.query(move |_| {
        wait();
        Ok(())
    }));
    assert!(poll(&mut query).is_pending());
    let (release_transaction, wait) = busy();
    let mut transaction = Box::pin(session.transaction(move |_| {
        wait();
        Ok::<_, SessionError>(())
    }));
    assert!(poll(&mut transaction).is_pending());
    running.recv().await.unwrap();
    running.recv().await.unwrap();

    let mut queries: Vec<_> = (0..2).map(|_| Box::pin(session.query(|_| Ok(())))).collect();
    let mut transactions: Vec<_> =
        (0..2).map(|_| Box::pin(session.transaction(|_| Ok::<_, SessionError>(())))).collect();
    assert!(queries.iter_mut().all(|query| poll(query).is_pending()));
    assert!(transactions.iter_mut().all(|transaction| poll(transaction).is_pending()));
    let stats = session.stats();
    assert_eq!((stats.queries_waiting, stats.transactions_waiting), (2, 2));
    for _ in 0..3 {
        let refused = session.query(|_| Ok(())).await;
        assert!(matches!(refused, Err(SessionError::Overloaded)));
        assert!(matches!(put(&session, "a").await, Err(SessionError::Overloaded)));
    }
    release_query.send(()).unwrap();
    release_transaction.send(()).unwrap();
    query.await.unwrap();
    transaction.await.unwrap();
    for query in queries {
        query.await.unwrap();
    }
    for transaction in transactions {
        transaction.await.unwrap();
    }
    let stats = session.stats();
    assert_eq!((stats.queries_refused, stats.transactions_refused), (3, 3));
    assert_eq!((stats.queries_waiting, stats.transactions_waiting), (0, 0));
    put(&session, "a").await.unwrap();
}

/// What waited longer than it may is told so without being begun.
#[tokio::test]
async fn waiting_counts() {
    let (_directory, path) = place();
    let session = accounts(&path, SessionSettings { readers: 1, ..settings() }).await;
    let limits = QueryLimits { time: SHORT, rows: 1 };
    let (release, released) = mpsc::channel::<()>();
    let mut busy = Box::pin(session.query(move |_| {
        released.recv().unwrap();
        Ok(())
    }));
    assert!(poll(&mut busy).is_pending());
    let mut late = Box::pin(session.query_within(limits, |_| -> rusqlite::Result<()> {
        panic!("it must not be begun");
    }));
    assert!(poll(&mut late).is_pending());
    let began = Instant::now();
    until("its time is over", || began.elapsed() > SHORT);
    release.send(()).unwrap();
    is_late(late.await);
    busy.await.unwrap();
}
