//! The limits: SQLite alone, writing rows, batch by batch.
//!
//! The rows are folded before the time is taken, from the same pages of the same log. **Raw upserts** write the row of
//! every event, in order: what a handler with SQL of its own does without folding. **Raw rows** are what a projection
//! commits: the last row of every key that a batch touches, in order of the keys; no projection can be faster that has
//! no more than SQLite to write to. Timed is a transaction for each batch with these rows, 16 in a statement, and its
//! checkpoint; the same pragmas, the same table, the same file system, one thread, nothing read.

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
    /// Values of the row of every event, one behind the other, in the order of the events.
    each: Vec<types::Value>,
    /// Values of the last rows.
    last: Vec<types::Value>,
    position: u64,
}

/// Which rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// One for every event.
    Upserts,
    /// The last ones of a batch.
    Rows,
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
            let (mut touched, mut each) = (BTreeSet::new(), Vec::new());
            for event in &page.events {
                let about = About::of(event);
                let Some(decoded) = P::Follows::decode(event).transpose()? else { continue };
                for key in decoded.keys(projection, &about) {
                    let row = rows.entry(key.clone()).or_default();
                    decoded.on(projection, row, &key, &about)?;
                    if let Some(row) = row {
                        let values = key.values().into_iter().chain(row.values());
                        each.extend(values.map(stored).collect::<Result<Vec<_>, _>>()?);
                    }
                    touched.insert(key);
                }
            }
            let written = touched.iter().filter_map(|key| Some((key, rows[key].as_ref()?)));
            let values =
                written.flat_map(|(key, row)| key.values().into_iter().chain(row.values()));
            let last = values.map(stored).collect::<Result<_, _>>()?;
            after = page.scanned.position;
            batches.push(Batch { each, last, position: after.get() });
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
    fn write(
        &self,
        connection: &mut Connection,
        batch: &Batch,
        limit: Limit,
    ) -> kronika::rusqlite::Result<()> {
        let values = match limit {
            Limit::Upserts => &batch.each,
            Limit::Rows => &batch.last,
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.prepare_cached(&self.checkpoint)?.execute([batch.position])?;
        let chunks = values.chunks_exact(ROWS_PER_STATEMENT * self.width);
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
pub fn raw(path: &Path, all: &[Writes], limit: Limit) -> Result<(Duration, Duration), Fault> {
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
                writes.write(&mut connection, batch, limit)?;
            }
        }
    }
    Ok((began.elapsed(), cpu_time() - cpu))
}
