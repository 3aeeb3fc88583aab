//! Opening the file of plain tables: its settings, and whose it is.
//!
//! `synchronous=FULL` with a write-ahead log: each commit is synced before it is acknowledged, because nothing
//! could give it back.

use super::{error::SessionOpenError, settings::SessionSettings};
use crate::{
    open::{Access, bound, connect, header, is_busy, keep_log},
    schema::APPLICATION_ID as READ_MODELS,
};
use rusqlite::{Connection, TransactionBehavior};
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

/// Between two tries where SQLite does not wait for a lock by itself: it has no way to be woken, and its own
/// waits are pauses as well.
const PAUSE: Duration = Duration::from_millis(2);

/// The connection that writes. Makes file and table where there are none.
pub(super) fn writer(
    path: &Path,
    settings: &SessionSettings,
) -> Result<Connection, SessionOpenError> {
    let failed = |error| SessionOpenError::of(path, error);
    let (patience, cache) = (settings.busy_timeout, settings.cache_bytes);
    let mut connection = connect(path, Access::Write, patience, cache).map_err(failed)?;
    check_owner(&connection, path)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(SessionOpenError::ReadOnly(path.to_owned()));
    }
    if !patiently(settings, || keep_log(&connection)).map_err(failed)? {
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
    connect(path, Access::Read, settings.busy_timeout, settings.cache_bytes / 4)
        .map_err(|error| SessionOpenError::of(path, error))
}

/// Refuses a file that is not ours, before anything is written to it.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), SessionOpenError> {
    let header = header(connection).map_err(|error| SessionOpenError::of(path, error))?;
    let (path, found) = (path.to_owned(), header.schema);
    match header.owner {
        READ_MODELS => Err(SessionOpenError::ReadModels(path)),
        owner if !header.is_fresh && owner != APPLICATION_ID => {
            Err(SessionOpenError::Foreign(path))
        }
        _ if found > SCHEMA => Err(SessionOpenError::NewerSchema { path, found, known: SCHEMA }),
        _ => Ok(()),
    }
}

fn settle(connection: &mut Connection, settings: &SessionSettings) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
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
    bound(connection, settings.file_bytes_max)
}

/// Tries again while others hold the file. Of several that make it at once, SQLite refuses one now and then without
/// waiting: on the way to a write-ahead log it does not ask its busy handler for every lock. Opening is said to
/// block, so the pause stalls nobody who does not expect it.
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
