//! A file with one table of accounts, and what the tests do with it.

use kronika_sqlite::{
    Migration, SessionError, SessionSettings, SqliteSession,
    rusqlite::{self, Connection, Transaction},
};
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Far beyond what anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

pub const ACCOUNTS: Migration = Migration::new(
    1,
    "accounts",
    "CREATE TABLE accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0)) STRICT",
);

/// Runs for ever unless it is interrupted.
pub const ENDLESS: &str =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

/// Little patience with locks, much with the machine.
pub fn settings() -> SessionSettings {
    SessionSettings {
        busy_timeout: Duration::from_millis(1),
        transaction_time: LONG,
        ..SessionSettings::default()
    }
}

pub fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tables.sqlite");
    (directory, path)
}

pub fn open(path: &Path) -> SqliteSession {
    SqliteSession::open(path, settings()).unwrap()
}

/// With the table of accounts.
pub async fn accounts(path: &Path, settings: SessionSettings) -> SqliteSession {
    let session = SqliteSession::open(path, settings).unwrap();
    session.migrate(&[ACCOUNTS]).await.unwrap();
    session
}

pub fn add(transaction: &Transaction<'_>, name: &str, cents: i64) -> rusqlite::Result<usize> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO accounts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET cents = cents + ?2",
    )?;
    add.execute(rusqlite::params![name, cents])
}

pub async fn count(session: &SqliteSession) -> u64 {
    session.query(|connection| number(connection, "SELECT count(*) FROM accounts")).await.unwrap()
}

pub fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get(0))
}

/// A transaction that adds an account of this name.
pub async fn put(session: &SqliteSession, name: &str) -> Result<(), SessionError> {
    let name = name.to_owned();
    session.transaction(move |transaction| Ok(add(transaction, &name, 1).map(drop)?)).await
}

/// Waits until something is so, which happens on a thread or in a process that wakes nobody here.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "not within {LONG:?}: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}
