//! Opening the file of plain tables: its settings, and whose it is.
//!
//! `synchronous=FULL` with a write-ahead log: each commit is synced before it is acknowledged, because nothing
//! could give it back.

use super::{error::SessionOpenError, settings::SessionSettings};
use crate::{open::is_busy, schema::APPLICATION_ID as READ_MODELS};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// `ktab`, in the file's header: whose database it is.
const APPLICATION_ID: u32 = 0x6b74_6162;
/// Number of the schema of Kronika's own table in it, in the file's header.
const SCHEMA: u32 = 1;
const TABLES: &str = "
CREATE TABLE kronika_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL,
    -- Of the SQL as it was applied, and when, in microseconds.
    checksum TEXT NOT NULL, applied INTEGER NOT NULL
) STRICT;
";

/// Statements kept prepared on each connection.
const STATEMENTS: usize = 256;
/// Bytes that the write-ahead log keeps on the disk once it was moved into the file.
const WAL_BYTES: u64 = 64 << 20;
/// Between two tries where SQLite does not wait for a lock by itself.
const PAUSE: Duration = Duration::from_millis(2);

/// The connection that writes. Makes file and table where there are none.
pub(super) fn writer(
    path: &Path,
    settings: &SessionSettings,
) -> Result<Connection, SessionOpenError> {
    let failed = |error| SessionOpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    common(&connection, settings, settings.cache_bytes).map_err(failed)?;
    check_owner(&connection, path)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(SessionOpenError::ReadOnly(path.to_owned()));
    }
    let wal = patiently(settings, || {
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
    });
    if wal.map_err(failed)? != "wal" {
        return Err(SessionOpenError::NoWal(path.to_owned()));
    }
    patiently(settings, || settle(&mut connection, settings)).map_err(failed)?;
    Ok(connection)
}

/// A connection that can only read; after the one that writes.
pub(super) fn reader(
    path: &Path,
    settings: &SessionSettings,
) -> Result<Connection, SessionOpenError> {
    let failed = |error| SessionOpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    common(&connection, settings, settings.cache_bytes / 4).map_err(failed)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    Ok(connection)
}

fn common(
    connection: &Connection,
    settings: &SessionSettings,
    cache_bytes: u64,
) -> rusqlite::Result<()> {
    connection.busy_timeout(settings.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let kibibytes = i64::try_from(cache_bytes >> 10).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?; // Negative: in KiB, not in pages.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// Refuses a file that is not ours, before anything is written to it.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), SessionOpenError> {
    let failed = |error| SessionOpenError::of(path, error);
    // In one transaction: another process may be making the file just now.
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let number = |pragma: &str| {
        transaction.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0)).map_err(failed)
    };
    let (owner, found) = (number("application_id")?, number("user_version")?);
    let tables = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u64>(0))
        .map_err(failed)?;
    transaction.finish().map_err(failed)?;
    let fresh = owner == 0 && found == 0 && tables == 0;
    match owner {
        READ_MODELS => Err(SessionOpenError::ReadModels(path.to_owned())),
        _ if !fresh && owner != APPLICATION_ID => Err(SessionOpenError::Foreign(path.to_owned())),
        _ if found > SCHEMA => {
            let path = path.to_owned();
            Err(SessionOpenError::NewerSchema { path, found, known: SCHEMA })
        }
        _ => Ok(()),
    }
}

fn settle(connection: &mut Connection, settings: &SessionSettings) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    let schema = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
    };
    if schema(connection)? == 0 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have made it in between.
        if schema(&transaction)? == 0 {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA)?;
        }
        transaction.commit()?;
    }
    if let Some(bytes) = settings.file_bytes_max {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.pragma_update(None, "max_page_count", (bytes / page).max(1))?;
    }
    Ok(())
}

/// Tries again while others hold the file: SQLite itself does not wait for every lock on the way to a
/// write-ahead log.
fn patiently<T>(
    settings: &SessionSettings,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && begin.elapsed() < settings.busy_timeout => {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}
