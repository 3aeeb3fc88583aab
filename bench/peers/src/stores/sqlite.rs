//! SQLite as a store of events: one table in order of position, one index by stream and version.

use crate::{
    grouped::{Grouped, GroupedCaller, Transactions, Write},
    harness::{Bodies, Store},
};
use rusqlite::{Connection, params};
use std::path::Path;

/// How it is set.
pub const SETTINGS: &str = "rusqlite 0.42 with its own SQLite; WAL, synchronous=FULL, page cache 64 MB, wal_autocheckpoint as \
     it is; table events(position INTEGER PRIMARY KEY, stream, version, body) with a unique index on (stream, \
     version); group commit by one writer thread that drains a channel (at most 2,048 events a transaction), prepared \
     statements";

/// An open SQLite.
pub struct Sqlite {
    grouped: Grouped,
    reading: std::sync::Mutex<Connection>,
}

fn told(error: impl std::fmt::Display) -> String {
    format!("sqlite: {error}")
}

fn connect(directory: &Path) -> Result<Connection, String> {
    let connection = Connection::open(directory.join("events.sqlite")).map_err(told)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
             CREATE TABLE IF NOT EXISTS events (
                 position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL);
             CREATE UNIQUE INDEX IF NOT EXISTS by_stream ON events (stream, version);",
        )
        .map_err(told)?;
    Ok(connection)
}

struct Writer(Connection);

impl Transactions for Writer {
    fn write(&mut self, group: &[Write]) -> Result<(), String> {
        let transaction = self.0.transaction().map_err(told)?;
        {
            let sql = "INSERT INTO events (stream, version, body) VALUES (?1, ?2, ?3)";
            let mut insert = transaction.prepare_cached(sql).map_err(told)?;
            for Write { stream, version, body } in group {
                insert.execute(params![stream, *version as i64, body]).map_err(told)?;
            }
        }
        transaction.commit().map_err(told)
    }
}

impl Store for Sqlite {
    type Caller = GroupedCaller;

    fn open(directory: &Path) -> Result<Self, String> {
        let grouped = Grouped::start(Writer(connect(directory)?))?;
        Ok(Self { grouped, reading: connect(directory)?.into() })
    }

    fn caller(&self, number: u32) -> GroupedCaller {
        self.grouped.caller(number)
    }

    fn append_round(
        &self,
        streams: &[u32],
        version: u64,
        bodies: &mut Bodies,
    ) -> Result<(), String> {
        self.grouped.write(super::round(streams, version, bodies))
    }

    fn read_stream(&self, stream: u32) -> Result<(u64, u64), String> {
        let sql = "SELECT body FROM events WHERE stream = ?1 ORDER BY version";
        self.count(sql, &[&format!("filled/{stream}")])
    }

    fn read_all(&self) -> Result<(u64, u64), String> {
        self.count("SELECT body FROM events ORDER BY position", &[])
    }

    fn close(self) -> Result<(), String> {
        self.grouped.close()
    }
}

impl Sqlite {
    fn count(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(u64, u64), String> {
        let connection = self.reading.lock().map_err(told)?;
        let mut select = connection.prepare_cached(sql).map_err(told)?;
        let mut rows = select.query(values).map_err(told)?;
        let (mut events, mut bytes) = (0, 0);
        while let Some(row) = rows.next().map_err(told)? {
            events += 1;
            bytes += row.get_ref(0).map_err(told)?.as_blob().map_err(told)?.len() as u64;
        }
        Ok((events, bytes))
    }
}
