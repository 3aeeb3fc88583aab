//! Transactions: all or nothing, whatever their code does, and seen by every query after them.

use crate::common::*;
use kronika_core::Value;
use kronika_macros::Row;
use kronika_sqlite::{
    SessionError,
    rusqlite::{self, ErrorCode, Transaction},
};

#[tokio::test(flavor = "multi_thread")]
async fn callers_side_by_side_lose_nothing_and_read_their_writes() {
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    let callers = (0..16).map(|caller| {
        let session = session.clone();
        tokio::spawn(async move {
            for number in 1..=25_i64 {
                // Money moves between two accounts, so that a half would show.
                session
                    .transaction::<_, SessionError>(move |transaction| {
                        add(transaction, &format!("own-{caller}"), 1)?;
                        add(transaction, "all", 1)?;
                        Ok(())
                    })
                    .await
                    .unwrap();
                let query = move |connection: &rusqlite::Connection| {
                    let own = format!("SELECT cents FROM accounts WHERE name = 'own-{caller}'");
                    let sums = "SELECT sum(cents) - 2 * sum(cents) FILTER (WHERE name = 'all')
                        FROM accounts";
                    let balance = connection.query_row(sums, [], |row| row.get::<_, i64>(0))?;
                    Ok((connection.query_row(&own, [], |row| row.get::<_, i64>(0))?, balance))
                };
                assert_eq!(session.query(query).await.unwrap(), (number, 0));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let all = "SELECT cents FROM accounts WHERE name = 'all'";
    assert_eq!(session.query(|connection| number(connection, all)).await.unwrap(), 400);
    let stats = session.stats();
    assert_eq!((stats.transactions, stats.queries), (401, 401));
    assert_eq!((stats.transactions_waiting, stats.transactions_refused), (0, 0));
}

/// An application's own refusal.
#[derive(Debug, PartialEq)]
enum Refusal {
    TooPoor,
    Session(String),
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self::Session(error.to_string())
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        SessionError::from(error).into()
    }
}

#[tokio::test]
async fn what_refuses_or_panics_leaves_nothing() {
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    let refused = session.transaction(|transaction| {
        add(transaction, "a", 1)?;
        Err::<(), _>(Refusal::TooPoor)
    });
    assert_eq!(refused.await, Err(Refusal::TooPoor));
    let panicked = session.transaction(|transaction| -> Result<(), SessionError> {
        add(transaction, "a", 1)?;
        panic!("oh")
    });
    assert!(matches!(panicked.await, Err(SessionError::Panicked(why)) if why == "oh"));
    let broken = session.transaction(|transaction| {
        add(transaction, "a", 1)?;
        add(transaction, "a", -2)?;
        Ok(())
    });
    let Err(SessionError::Sql(error)) = broken.await else { panic!() };
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ConstraintViolation));
    assert_eq!(count(&session).await, 0);
    put(&session, "a").await.unwrap();
    assert_eq!(count(&session).await, 1);
}

/// Code that passes over its errors, or ends the transaction itself, must not write outside it.
#[tokio::test]
async fn code_cannot_leave_its_transaction() {
    async fn check(
        session: &kronika_sqlite::SqliteSession,
        sql: &'static str,
        expected: fn(&SessionError) -> bool,
    ) {
        let tried = session.transaction::<_, SessionError>(move |transaction: &Transaction<'_>| {
            add(transaction, "before", 1)?;
            let result = transaction.execute_batch(sql);
            add(transaction, "after", 1)?;
            Ok(result?)
        });
        let error = tried.await.unwrap_err();
        assert!(expected(&error), "{sql}: {error:?}");
        assert_eq!(count(session).await, 0, "{sql}");
    }
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    let is_forbidden = |error: &SessionError| matches!(error, SessionError::Forbidden(_));
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "END",
        "BEGIN",
        "ATTACH 'other' AS other",
        "DELETE FROM kronika_migrations",
        "INSERT INTO Kronika_Migrations VALUES (9, 'x', 'x', 0)",
        "DROP TABLE kronika_migrations",
        "ALTER TABLE kronika_migrations RENAME TO mine",
        "CREATE TABLE kronika_mine (a)",
        "CREATE TRIGGER t AFTER INSERT ON kronika_migrations BEGIN SELECT 1; END",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = on",
        // On the connection of all transactions, none of them could write after it.
        "PRAGMA query_only = on",
        "PRAGMA ignore_check_constraints = on",
    ] {
        check(&session, sql, is_forbidden).await;
    }
    // SQLite itself ends the transaction here; what comes after it would be committed by itself.
    let rolls_back = "INSERT OR ROLLBACK INTO accounts VALUES ('before', 1)";
    check(&session, rolls_back, |error| matches!(error, SessionError::Sql(_))).await;
    let swallowed = session.transaction::<_, SessionError>(move |transaction| {
        add(transaction, "before", 1)?;
        assert!(transaction.execute_batch(rolls_back).is_err());
        assert!(add(transaction, "after", 1).is_err(), "no transaction, no commit");
        Ok(())
    });
    assert!(matches!(swallowed.await, Err(SessionError::RolledBack)));
    assert_eq!(count(&session).await, 0);
    // What it may do.
    session
        .transaction::<_, SessionError>(|transaction| {
            transaction.execute_batch("SAVEPOINT s")?;
            add(transaction, "a", 1)?;
            transaction.execute_batch("ROLLBACK TO s; RELEASE s; PRAGMA table_info(accounts)")?;
            transaction.execute_batch("PRAGMA defer_foreign_keys = on")?;
            add(transaction, "b", 1)?;
            Ok(number(transaction, "SELECT count(*) FROM kronika_migrations").map(drop)?)
        })
        .await
        .unwrap();
    assert_eq!(count(&session).await, 1);
}

#[derive(Row, Debug, PartialEq)]
struct Account {
    cents: i64,
    name: String,
}

#[tokio::test]
async fn single_statements_and_typed_rows() {
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    for (name, cents) in [("ada", 5), ("bob'; --", 7)] {
        let parameters = vec![Value::Text(name.to_owned()), Value::Integer(cents)];
        let sql = "INSERT INTO accounts VALUES (?1, ?2)";
        assert_eq!(session.execute(sql, parameters).await.unwrap(), 1);
    }
    let sql = "SELECT * FROM accounts WHERE cents > ?1 ORDER BY name";
    let rows = session.rows::<Account>(sql, vec![Value::Integer(5)]).await.unwrap();
    assert_eq!(rows, [Account { cents: 7, name: "bob'; --".to_owned() }]);
    let wrong = session.rows::<Account>("SELECT 'x' AS cents, 'y' AS name", vec![]).await;
    assert!(matches!(wrong, Err(SessionError::Shape(_))));
    let wrong = session.execute("DELETE FROM account", vec![]).await;
    assert!(matches!(wrong, Err(SessionError::Sql(_))));
    let writes = session.query(|connection| connection.execute("DELETE FROM accounts", []));
    assert!(matches!(writes.await, Err(SessionError::Sql(_))), "queries only read");
    let panicked = session.query(|_| -> rusqlite::Result<()> { panic!("oh") });
    assert!(matches!(panicked.await, Err(SessionError::Panicked(why)) if why == "oh"));
    assert_eq!(count(&session).await, 2);
}

#[tokio::test]
async fn foreign_keys_are_enforced() {
    let (_directory, path) = place();
    let session = accounts(&path, settings()).await;
    let table = "CREATE TABLE cards (owner TEXT NOT NULL REFERENCES accounts
        DEFERRABLE INITIALLY DEFERRED) STRICT";
    session.execute(table, vec![]).await.unwrap();
    // Deferred: it fails in the commit.
    let nobody = session.execute("INSERT INTO cards VALUES ('nobody')", vec![]).await;
    assert!(matches!(nobody, Err(SessionError::Sql(_))), "{nobody:?}");
    put(&session, "ada").await.unwrap();
    session.execute("INSERT INTO cards VALUES ('ada')", vec![]).await.unwrap();
}
