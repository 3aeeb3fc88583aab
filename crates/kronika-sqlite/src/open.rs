//! Opening the file: its settings, and whose it is.
//!
//! `synchronous=NORMAL` with a write-ahead log: after a loss of power the newest transactions may be gone,
//! whole and in order. That is enough for read models, and only for them: rows and checkpoint are in one
//! file and one transaction, so a projection goes on from an older checkpoint that its rows agree with, and
//! reads the rest from the journal again.

use crate::{error::SqliteOpenError, schema, settings::SqliteSettings};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::Path;

/// Statements kept prepared on each connection.
const STATEMENTS: usize = 256;
/// Pages after which SQLite moves the write-ahead log into the file.
const WAL_PAGES: u32 = 4000;
/// Bytes that the write-ahead log keeps on the disk once it was moved.
const WAL_BYTES: u64 = 64 << 20;

/// The connection that writes. Makes file and tables where there are none.
pub(crate) fn writer(
    path: &Path,
    settings: &SqliteSettings,
) -> Result<Connection, SqliteOpenError> {
    let failed = |error| SqliteOpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    common(&connection, settings, settings.cache_bytes).map_err(failed)?;
    check_owner(&connection, path)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(SqliteOpenError::ReadOnly(path.to_owned()));
    }
    let wal = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
        .map_err(failed)?;
    if wal != "wal" {
        return Err(SqliteOpenError::NoWal(path.to_owned()));
    }
    settle(&mut connection, settings).map_err(failed)?;
    Ok(connection)
}

/// A connection that can only read; after the one that writes.
pub(crate) fn reader(
    path: &Path,
    settings: &SqliteSettings,
) -> Result<Connection, SqliteOpenError> {
    let failed = |error| SqliteOpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    common(&connection, settings, settings.cache_bytes / 4).map_err(failed)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    Ok(connection)
}

fn common(
    connection: &Connection,
    settings: &SqliteSettings,
    cache_bytes: u64,
) -> rusqlite::Result<()> {
    connection.busy_timeout(settings.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let kibibytes = i64::try_from(cache_bytes >> 10).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?; // Negative: in KiB, not in pages.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// Refuses a file that is not ours, before anything is written to it.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let failed = |error| SqliteOpenError::of(path, error);
    let number = |pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0)).map_err(failed)
    };
    let (owner, found) = (number("application_id")?, number("user_version")?);
    let tables = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u64>(0))
        .map_err(failed)?;
    let fresh = owner == 0 && found == 0 && tables == 0;
    if !fresh && owner != schema::APPLICATION_ID {
        return Err(SqliteOpenError::Foreign(path.to_owned()));
    }
    if found > schema::SCHEMA {
        let known = schema::SCHEMA;
        return Err(SqliteOpenError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(())
}

fn settle(connection: &mut Connection, settings: &SqliteSettings) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::make(&transaction)?;
    transaction.commit()?;
    if let Some(bytes) = settings.file_bytes_max {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (bytes / page).max(1);
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

/// Whether an error is that of a file that others hold just now.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
