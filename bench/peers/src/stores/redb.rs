//! redb as a store of events: one table by position, one by stream and version.

use crate::{
    grouped::{Grouped, GroupedCaller, Transactions, Write},
    harness::{Bodies, Store},
};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::{path::Path, sync::Arc};

const CACHE_BYTES: usize = 1 << 30;
const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const STREAMS: TableDefinition<(&str, u64), u64> = TableDefinition::new("streams");

/// How it is set.
pub const SETTINGS: &str = "crate redb 4, Durability::Immediate, cache 1 GiB (its default); table by position with the bodies, \
     table by (stream, version) with the positions, both in one transaction; group commit by one writer thread that \
     drains a channel (at most 2,048 events a transaction)";

/// An open redb.
pub struct Redb {
    grouped: Grouped,
    database: Arc<Database>,
}

fn told(error: impl std::fmt::Display) -> String {
    format!("redb: {error}")
}

struct Writer {
    database: Arc<Database>,
    position: u64,
}

impl Transactions for Writer {
    fn write(&mut self, group: &[Write]) -> Result<(), String> {
        let mut transaction = self.database.begin_write().map_err(told)?;
        transaction.set_durability(Durability::Immediate).map_err(told)?;
        let mut position = self.position;
        {
            let mut events = transaction.open_table(EVENTS).map_err(told)?;
            let mut streams = transaction.open_table(STREAMS).map_err(told)?;
            for Write { stream, version, body } in group {
                position += 1;
                events.insert(position, body.as_slice()).map_err(told)?;
                streams.insert((stream.as_str(), *version), position).map_err(told)?;
            }
        }
        transaction.commit().map_err(told)?;
        self.position = position;
        Ok(())
    }
}

impl Store for Redb {
    type Caller = GroupedCaller;

    fn open(directory: &Path) -> Result<Self, String> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = Arc::new(builder.create(directory.join("events.redb")).map_err(told)?);
        let transaction = database.begin_write().map_err(told)?;
        let position = {
            let events = transaction.open_table(EVENTS).map_err(told)?;
            transaction.open_table(STREAMS).map_err(told)?;
            events.last().map_err(told)?.map_or(0, |(position, _)| position.value())
        };
        transaction.commit().map_err(told)?;
        let grouped = Grouped::start(Writer { database: Arc::clone(&database), position })?;
        Ok(Self { grouped, database })
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
        let stream = format!("filled/{stream}");
        let transaction = self.database.begin_read().map_err(told)?;
        let streams = transaction.open_table(STREAMS).map_err(told)?;
        let events = transaction.open_table(EVENTS).map_err(told)?;
        let (mut count, mut bytes) = (0, 0);
        let range = (stream.as_str(), 0)..(stream.as_str(), u64::MAX);
        for entry in streams.range(range).map_err(told)? {
            let position = entry.map_err(told)?.1.value();
            let body = events.get(position).map_err(told)?;
            let body = body.ok_or_else(|| format!("redb: no event at position {position}"))?;
            count += 1;
            bytes += body.value().len() as u64;
        }
        Ok((count, bytes))
    }

    fn read_all(&self) -> Result<(u64, u64), String> {
        let transaction = self.database.begin_read().map_err(told)?;
        let events = transaction.open_table(EVENTS).map_err(told)?;
        let (mut count, mut bytes) = (0, 0);
        for entry in events.iter().map_err(told)? {
            count += 1;
            bytes += entry.map_err(told)?.1.value().len() as u64;
        }
        Ok((count, bytes))
    }

    fn close(self) -> Result<(), String> {
        self.grouped.close()
    }
}
