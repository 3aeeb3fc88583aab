//! Opening the file: its settings, and whose it is.
//!
//! `synchronous=NORMAL` with a write-ahead log: after a loss of power the newest transactions may be gone,
//! whole and in order. That is enough for read models, and only for them: rows and checkpoint are in one
//! file and one transaction, so a projection goes on from an older checkpoint that its rows agree with, and
//! reads the rest from the journal again.

use crate::{error::SqliteOpenError, schema, settings::SqliteSettings};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Statements kept prepared on each connection.
const STATEMENTS: usize = 256;
/// Pages after which SQLite moves the write-ahead log into the file.
const WAL_PAGES: u32 = 4000;
/// Bytes that the write-ahead log keeps on the disk once it was moved.
const WAL_BYTES: u64 = 64 << 20;

/// How long a tool waits for a lock.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);
/// Memory for pages of a tool's connection.
const LOOK_CACHE_BYTES: u64 = 2 << 20;

/// The connection that writes. Makes file and tables where there are none.
pub(crate) fn writer(
    path: &Path,
    settings: &SqliteSettings,
) -> Result<Connection, SqliteOpenError> {
    let failed = |error| SqliteOpenError::of(path, error);
    let (patience, cache) = (settings.busy_timeout, settings.cache_bytes);
    let mut connection = connect(path, Access::Write, patience, cache).map_err(failed)?;
    check_owner(&connection, path)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(SqliteOpenError::ReadOnly(path.to_owned()));
    }
    if !keep_log(&connection).map_err(failed)? {
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
    connect(path, Access::Read, settings.busy_timeout, settings.cache_bytes / 4)
        .map_err(|error| SqliteOpenError::of(path, error))
}

/// A connection that can only read and makes no file, also where no service has the file open; with how it
/// reads.
pub(crate) fn look(path: &Path) -> Result<(Connection, Access), SqliteOpenError> {
    let failed = |error| SqliteOpenError::of(path, error);
    let access = access_beside(path);
    let connection = connect(path, access, LOOK_PATIENCE, LOOK_CACHE_BYTES).map_err(failed)?;
    // A service that comes back moves the log itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    let found = check_owner(&connection, path)?;
    if found < schema::SCHEMA {
        let (path, known) = (path.to_owned(), schema::SCHEMA);
        return Err(SqliteOpenError::OlderSchema { path, found, known });
    }
    Ok((connection, access))
}

/// How a file can be looked at as things stand beside it: a service that has it open keeps a log and an index
/// of it there, one that was killed leaves them.
pub(crate) fn access_beside(path: &Path) -> Access {
    match (beside(path, "-wal").exists(), beside(path, "-shm").exists()) {
        (false, _) => Access::ReadUnchanging,
        (true, false) => Access::ReadAlone,
        (true, true) => Access::Read,
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a file that is not ours, before anything is written to it.
/// Gives its schema.
fn check_owner(connection: &Connection, path: &Path) -> Result<u32, SqliteOpenError> {
    let header = header(connection).map_err(|error| SqliteOpenError::of(path, error))?;
    if !header.is_fresh && header.owner != schema::APPLICATION_ID {
        return Err(SqliteOpenError::Foreign(path.to_owned()));
    }
    if header.schema > schema::SCHEMA {
        let (found, known) = (header.schema, schema::SCHEMA);
        return Err(SqliteOpenError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(header.schema)
}

fn settle(connection: &mut Connection, settings: &SqliteSettings) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::make(&transaction)?;
    transaction.commit()?;
    bound(connection, settings.file_bytes_max)
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    /// Without locks and without a log, of a file that nobody writes.
    ReadUnchanging,
    /// Without locks, of a file that nobody writes, and its log, whose index is kept in memory.
    ReadAlone,
    Write,
}

/// A connection as every file of Kronika's has them. One that writes makes the file.
pub(crate) fn connect(
    path: &Path,
    access: Access,
    busy_timeout: Duration,
    cache_bytes: u64,
) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match access {
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            _ => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
    let by_uri = |options| {
        Connection::open_with_flags(uri(path, options), flags | OpenFlags::SQLITE_OPEN_URI)
    };
    let connection = match access {
        Access::Read | Access::Write => Connection::open_with_flags(path, flags)?,
        Access::ReadUnchanging => by_uri("immutable=1")?,
        Access::ReadAlone => {
            let connection = by_uri("vfs=unix-none")?;
            // Before anything is read: then the index of the log is not looked for in a file.
            connection.pragma_update(None, "locking_mode", "exclusive")?;
            connection
        }
    };
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let kibibytes = i64::try_from(cache_bytes >> 10).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?; // Negative: in KiB, not in pages.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "query_only", access != Access::Write)?;
    Ok(connection)
}

/// A file with options that only a URI has.
fn uri(path: &Path, options: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_".contains(&byte);
    let letter = |&byte: &u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let path: String = path.as_os_str().as_encoded_bytes().iter().map(letter).collect();
    format!("file:{path}?{options}")
}

/// Whose a file is.
pub(crate) struct Header {
    pub owner: u32,
    pub schema: u32,
    /// Nobody has made anything in it.
    pub is_fresh: bool,
}

/// In one transaction: another process may be making the file just now.
pub(crate) fn header(connection: &Connection) -> rusqlite::Result<Header> {
    let transaction = connection.unchecked_transaction()?;
    let number = |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, u32>(0));
    let (owner, schema) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    transaction.finish()?;
    Ok(Header { owner, schema, is_fresh: owner == 0 && schema == 0 && tables == 0 })
}

/// Lets the file have a write-ahead log; gives whether it can.
pub(crate) fn keep_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    Ok(connection.pragma_update_and_check(None, "journal_mode", "wal", mode)? == "wal")
}

/// Bounds the file.
pub(crate) fn bound(connection: &Connection, bytes_max: Option<u64>) -> rusqlite::Result<()> {
    let Some(bytes) = bytes_max else { return Ok(()) };
    let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "max_page_count", (bytes / page).max(1))
}

/// Whether an error is that of a file that others hold just now.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
