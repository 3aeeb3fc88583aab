//! Queries: bounded in time, rows and number, on connections that cannot write.

use crate::common::*;
use kronika_core::Value;
use kronika_sqlite::{
    QueryError, QueryLimits, SqliteSettings,
    rusqlite::{self, Connection, ErrorCode},
};
use kronika_testkit::MemoryJournal;
use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

const ENDLESS: &str =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

fn endless(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(ENDLESS, [], |row| row.get(0))
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let read_models =
        open_with(&directory.path().join("rm"), SqliteSettings { readers: 1, ..settings() });
    let time = Duration::from_millis(50);
    let limits = QueryLimits { time, ..QueryLimits::default() };
    let began = Instant::now();
    let late = read_models.query_within(limits, endless).await;
    assert!(matches!(late, Err(QueryError::TookTooLong(limit)) if limit == time));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(read_models.query(|_| Ok(7)).await.unwrap(), 7, "the thread goes on");
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let read_models = open_with(&path, SqliteSettings { readers: 1, ..settings() });
    let limits = QueryLimits { time: SOON * 10, ..QueryLimits::default() };
    let (started, mut running) = tokio::sync::mpsc::channel(1);
    let task = tokio::spawn({
        let read_models = read_models.clone();
        async move {
            let query = move |connection: &Connection| {
                started.blocking_send(()).unwrap();
                endless(connection)
            };
            read_models.query_within(limits, query).await
        }
    });
    running.recv().await.unwrap();
    task.abort();
    assert_eq!(read_models.query(|_| Ok(7)).await.unwrap(), 7, "the only thread is free again");
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { readers: 1, queries_waiting_max: 2, ..settings() };
    let read_models = Arc::new(open_with(&directory.path().join("rm"), settings));
    let (release, released) = mpsc::channel::<()>();
    let (started, mut running) = tokio::sync::mpsc::channel(1);
    let busy = tokio::spawn({
        let read_models = read_models.clone();
        async move {
            let wait = move |_: &Connection| {
                started.blocking_send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            };
            read_models.query(wait).await
        }
    });
    running.recv().await.unwrap();
    let mut waiting = Vec::new();
    let mut refused = 0;
    for _ in 0..5 {
        let read_models = read_models.clone();
        let mut query = Box::pin(async move { read_models.query(|_| Ok(())).await });
        match futures_now(&mut query).await {
            None => waiting.push(query),
            Some(answer) => {
                assert!(matches!(answer, Err(QueryError::Overloaded)));
                refused += 1;
            }
        }
    }
    assert_eq!((waiting.len(), refused), (2, 3));
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    for query in waiting {
        query.await.unwrap();
    }
}

/// Polls once.
async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn queries_cannot_write_and_their_panics_stay_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { readers: 1, ..settings() };
    let read_models = open_with(&directory.path().join("rm"), settings);
    let write = |connection: &Connection| connection.execute("DELETE FROM kronika_checkpoints", []);
    let Err(QueryError::Sql(error)) = read_models.query(write).await else { panic!() };
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    let panicked = read_models.query(|_| -> rusqlite::Result<()> { panic!("oh") });
    assert!(matches!(panicked.await, Err(QueryError::Panicked(why)) if why == "oh"));
    assert_eq!(read_models.query(|_| Ok(7)).await.unwrap(), 7);
}

#[tokio::test]
async fn typed_queries_bind_their_parameters_and_bound_their_rows() {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let limits = QueryLimits { rows: 20, ..QueryLimits::default() };
    let settings = SqliteSettings { query_limits: limits, ..settings() };
    let read_models = open_with(&directory.path().join("rm"), settings);
    let projections = start(&journal, &read_models, purses());
    for number in 0..21 {
        record(&journal, &format!("p{number}"), &[added(number)]);
    }
    caught_up(&journal, &projections).await;
    let many = read_models.rows::<PurseRow>("SELECT * FROM purses", vec![]).await;
    assert!(matches!(many, Err(QueryError::TooManyRows(20))));
    let sql =
        "SELECT key, rich, note, last, events, cents FROM purses WHERE cents < ?1 ORDER BY cents";
    let few = read_models.entries::<String, PurseRow>(sql, vec![Value::Integer(3)]).await.unwrap();
    assert_eq!(few.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["p0", "p1", "p2"]);
    assert_eq!(few[2].1, expected(&journal)["p2"]);
    let wrong = read_models.rows::<PurseRow>("SELECT key FROM purses", vec![]).await;
    assert!(matches!(wrong, Err(QueryError::Sql(_))), "a column is missing");
    let wrong = read_models.rows::<PurseRow>("SELECT *, 'x' AS y FROM purse", vec![]).await;
    assert!(matches!(wrong, Err(QueryError::Sql(_))), "a table is missing");
    let sql = "SELECT NULL AS cents, events, last, note, rich FROM purses LIMIT 1";
    let wrong = read_models.rows::<PurseRow>(sql, vec![]).await;
    assert!(matches!(wrong, Err(QueryError::Shape(_))));
}
