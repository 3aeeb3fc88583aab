//! fjall as a store of events: one keyspace by position, one by stream and version.

use crate::{
    grouped::{Grouped, GroupedCaller, Transactions, Write},
    harness::{Bodies, Store},
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::path::Path;

/// How it is set.
pub const SETTINGS: &str = "crate fjall 3, default options (lz4, cache 32 MB); keyspace by position with the bodies, keyspace by \
     stream and version with the positions, both in one batch with durability PersistMode::SyncData; group commit by \
     one writer thread that drains a channel (at most 2,048 events a batch)";

/// An open fjall.
pub struct Fjall {
    grouped: Grouped,
    database: Database,
    events: Keyspace,
    streams: Keyspace,
}

fn told(error: impl std::fmt::Display) -> String {
    format!("fjall: {error}")
}

struct Writer {
    database: Database,
    events: Keyspace,
    streams: Keyspace,
    position: u64,
}

fn key(stream: &str, version: u64) -> Vec<u8> {
    [stream.as_bytes(), &[0], &version.to_be_bytes()].concat()
}

impl Transactions for Writer {
    fn write(&mut self, group: &[Write]) -> Result<(), String> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut position = self.position;
        for Write { stream, version, body } in group {
            position += 1;
            batch.insert(&self.events, position.to_be_bytes(), body.as_slice());
            batch.insert(&self.streams, key(stream, *version), position.to_be_bytes());
        }
        batch.commit().map_err(told)?;
        self.position = position;
        Ok(())
    }
}

impl Store for Fjall {
    type Caller = GroupedCaller;

    fn open(directory: &Path) -> Result<Self, String> {
        let database = Database::builder(directory).open().map_err(told)?;
        let events = database.keyspace("events", KeyspaceCreateOptions::default).map_err(told)?;
        let streams = database.keyspace("streams", KeyspaceCreateOptions::default).map_err(told)?;
        let position = match events.last_key_value() {
            Some(last) => position(&last.key().map_err(told)?)?,
            None => 0,
        };
        let grouped = Grouped::start(Writer {
            database: database.clone(),
            events: events.clone(),
            streams: streams.clone(),
            position,
        })?;
        Ok(Self { grouped, database, events, streams })
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
        let snapshot = self.database.snapshot();
        let prefix = [format!("filled/{stream}").as_bytes(), &[0]].concat();
        let (mut count, mut bytes) = (0, 0);
        for entry in snapshot.prefix(&self.streams, prefix) {
            let position = entry.value().map_err(told)?;
            let body = snapshot.get(&self.events, position).map_err(told)?;
            count += 1;
            bytes += body.ok_or("fjall: an event of the index is not there")?.len() as u64;
        }
        Ok((count, bytes))
    }

    fn read_all(&self) -> Result<(u64, u64), String> {
        let (mut count, mut bytes) = (0, 0);
        for entry in self.database.snapshot().iter(&self.events) {
            count += 1;
            bytes += entry.value().map_err(told)?.len() as u64;
        }
        Ok((count, bytes))
    }

    fn close(self) -> Result<(), String> {
        self.grouped.close()
    }
}

fn position(key: &[u8]) -> Result<u64, String> {
    let key = key.try_into().map_err(|_| "fjall: a key is no position".to_owned())?;
    Ok(u64::from_be_bytes(key))
}
