//! The limit: SQLite alone, writing the rows that a projection writes, batch by batch.
//!
//! The rows are folded before the time is taken, from the same pages of the same log, so that each batch is what a
//! projection commits: the last row of every key that its events touch, in order of the keys. Timed is a transaction for
//! each batch with these rows, 16 in a statement, and its checkpoint; the same pragmas, the same table, the same file
//! system, one thread, nothing read. No projection can be faster that has no more than SQLite to write to.

use super::{Fault, filled::Filled};
use crate::harness::cpu_time;
use kronika::{
    About, EventFilter, Follows, Key, Kind, Position, Projection, ProjectionSettings, Row, Value,
    rusqlite::{CachedStatement, Connection, TransactionBehavior, types},
};
use kronika_core::{Journal, PartitionId, ReadPartition};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

/// Rows in one statement, as projections write them.
const ROWS_PER_STATEMENT: usize = 16;

/// What one projection writes for a whole log.
pub struct Writes {
    create: String,
    upsert_one: String,
    upsert_many: String,
    checkpoint: String,
    width: usize,
    batches: Vec<Batch>,
}

struct Batch {
    /// Values of all rows, one behind the other.
    values: Vec<types::Value>,
    position: u64,
}

impl Writes {
    /// Folds what is in a log, in batches as these settings make them.
    pub async fn of<P: Projection>(
        projection: &P,
        filled: &Filled,
        settings: &ProjectionSettings,
    ) -> Result<Self, Fault> {
        let types: Vec<_> = P::Follows::types().into_iter().map(str::to_owned).collect();
        let mut rows = BTreeMap::<P::Key, Option<P::Row>>::new();
        let (mut batches, mut after) = (Vec::new(), Position::ZERO);
        loop {
            let filter = EventFilter { types: types.clone(), ..EventFilter::default() };
            let read = ReadPartition::after(PartitionId::default(), after).filter(filter);
            let limits = (settings.batch_events_max, settings.batch_bytes_max);
            let read = ReadPartition { limit_events: limits.0, limit_bytes: limits.1, ..read };
            let page = filled.log.read_partition(read).await?;
            let mut touched = BTreeSet::new();
            for event in &page.events {
                let about = About::of(event);
                let Some(decoded) = P::Follows::decode(event).transpose()? else { continue };
                for key in decoded.keys(projection, &about) {
                    let row = rows.entry(key.clone()).or_default();
                    decoded.on(projection, row, &key, &about)?;
                    touched.insert(key);
                }
            }
            let written = touched.iter().filter_map(|key| Some((key, rows[key].as_ref()?)));
            let values =
                written.flat_map(|(key, row)| key.values().into_iter().chain(row.values()));
            let values = values.map(stored).collect::<Result<_, _>>()?;
            after = page.scanned.position;
            batches.push(Batch { values, position: after.get() });
            if page.at_head {
                return Ok(Self::into_table::<P>(batches));
            }
        }
    }

    /// The table as the store of read models makes it.
    fn into_table<P: Projection>(batches: Vec<Batch>) -> Self {
        let (keys, row) = (P::Key::COLUMNS, P::Row::COLUMNS);
        let columns: Vec<_> = keys.iter().chain(row).collect();
        let type_of = |kind| match kind {
            Kind::Text => "TEXT",
            Kind::Bytes => "BLOB",
            Kind::Real => "REAL",
            _ => "INTEGER",
        };
        let define = columns.iter().map(|it| format!("{} {} NOT NULL", it.name, type_of(it.kind)));
        let (define, key) = (define.collect::<Vec<_>>().join(", "), keys[0].name);
        let flat = if keys[0].kind == Kind::Text { ", WITHOUT ROWID" } else { "" };
        let places = format!("({})", vec!["?"; columns.len()].join(", "));
        let upsert = |rows| {
            let places = vec![places.as_str(); rows].join(", ");
            format!("INSERT OR REPLACE INTO {} VALUES {places}", P::NAME)
        };
        Self {
            create: format!(
                "CREATE TABLE {} ({define}, PRIMARY KEY ({key})) STRICT{flat};
                 INSERT INTO checkpoints VALUES ('{}', 0)",
                P::NAME,
                P::NAME
            ),
            upsert_one: upsert(1),
            upsert_many: upsert(ROWS_PER_STATEMENT),
            checkpoint: format!("UPDATE checkpoints SET position = ?1 WHERE name = '{}'", P::NAME),
            width: columns.len(),
            batches,
        }
    }

    /// One batch, in a transaction of its own.
    fn write(&self, connection: &mut Connection, batch: &Batch) -> kronika::rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.prepare_cached(&self.checkpoint)?.execute([batch.position])?;
        let chunks = batch.values.chunks_exact(ROWS_PER_STATEMENT * self.width);
        let rest = chunks.remainder();
        let mut many = transaction.prepare_cached(&self.upsert_many)?;
        for values in chunks {
            execute(&mut many, values)?;
        }
        let mut one = transaction.prepare_cached(&self.upsert_one)?;
        for values in rest.chunks_exact(self.width) {
            execute(&mut one, values)?;
        }
        drop((many, one));
        transaction.commit()
    }
}

fn execute(
    statement: &mut CachedStatement<'_>,
    values: &[types::Value],
) -> kronika::rusqlite::Result<()> {
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    statement.raw_execute().map(|_| ())
}

/// A value as SQLite keeps it.
fn stored(value: Value) -> Result<types::Value, Fault> {
    Ok(match value {
        Value::Integer(number) => types::Value::Integer(number),
        Value::Text(text) => types::Value::Text(text),
        other => return Err(format!("{other:?} is in no row of this benchmark").into()),
    })
}

/// Writes everything to a new file, a batch of each in turns, on this thread. Gives time and processor time.
pub fn raw_upserts(path: &Path, all: &[Writes]) -> Result<(Duration, Duration), Fault> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = normal; PRAGMA cache_size = -32768;
         PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = memory; PRAGMA trusted_schema = off;
         CREATE TABLE checkpoints (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT",
    )?;
    all.iter().try_for_each(|writes| connection.execute_batch(&writes.create))?;
    let (began, cpu) = (Instant::now(), cpu_time());
    for place in 0..all.iter().map(|writes| writes.batches.len()).max().unwrap_or_default() {
        for writes in all {
            if let Some(batch) = writes.batches.get(place) {
                writes.write(&mut connection, batch)?;
            }
        }
    }
    Ok((began.elapsed(), cpu_time() - cpu))
}
