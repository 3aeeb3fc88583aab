//! Kronika's own tables beside the read models. Their names begin with `kronika_`, which no read model's does.

mod from_1;

use rusqlite::Transaction;

/// `kron`, in the file's header: whose database it is.
pub(crate) const APPLICATION_ID: u32 = 0x6b72_6f6e;
/// Number of this schema, in the file's header.
pub(crate) const SCHEMA: u32 = 2;

/// Everything belongs to one run of one generation of a projection, so that several can stand side by side.
const READ_MODELS: &str = "
CREATE TABLE kronika_read_models (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('building', 'live', 'old')),
    -- What a change of the handler is noticed by; null where nobody has said it yet.
    tables TEXT, types TEXT, kept_order TEXT,
    -- Whether its tables and checkpoints were made, which is done once.
    made INTEGER NOT NULL DEFAULT 0,
    -- What is wished for.
    paused INTEGER NOT NULL DEFAULT 0, events_per_second INTEGER,
    workers INTEGER NOT NULL DEFAULT 1, switch INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL,
    -- How its projection stood when it last said so.
    report_at INTEGER, report_state TEXT, report_lag_events INTEGER, report_lag_micros INTEGER,
    report_events_per_second REAL, report_error TEXT,
    PRIMARY KEY (name, generation, run)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX kronika_one_live ON kronika_read_models (name) WHERE stage = 'live';
CREATE UNIQUE INDEX kronika_one_building ON kronika_read_models (name) WHERE stage = 'building';
";

/// A hash range has its own checkpoints, one for each journal partition, all under the range's epoch.
const CHECKPOINTS: &str = "
CREATE TABLE kronika_checkpoints (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    range_first INTEGER NOT NULL, range_last INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    incarnation TEXT NOT NULL, position INTEGER NOT NULL, event_check INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    -- Handled events, and when the last of them was recorded, in microseconds.
    events INTEGER NOT NULL, time INTEGER,
    PRIMARY KEY (name, generation, run, range_first, partition)
) STRICT, WITHOUT ROWID;
";

const OTHERS: &str = "
-- The tables of read models, and the views that show those of the live one by their plain names: as they were
-- made, to notice what was changed since.
CREATE TABLE kronika_tables (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL, plain TEXT NOT NULL,
    table_name TEXT NOT NULL, table_sql TEXT NOT NULL,
    -- Triggers and unique indexes that a handler made with its table.
    additions TEXT NOT NULL,
    view_sql TEXT NOT NULL,
    PRIMARY KEY (name, generation, run, plain)
) STRICT, WITHOUT ROWID;

-- The highest epoch of read models that were dropped: who owned one does not own the next of its number.
CREATE TABLE kronika_dropped (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (name, generation, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE kronika_parked (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL, key TEXT NOT NULL,
    cause TEXT NOT NULL,
    -- The first of its letters, and how many there are.
    partition INTEGER NOT NULL, position INTEGER NOT NULL, event TEXT NOT NULL,
    stream TEXT NOT NULL, version INTEGER NOT NULL, time INTEGER NOT NULL,
    letters INTEGER NOT NULL,
    parked INTEGER NOT NULL, attempts INTEGER NOT NULL, asked TEXT,
    PRIMARY KEY (name, generation, run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE kronika_letters (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL, key TEXT NOT NULL,
    -- In which order those of a key came.
    arrival INTEGER NOT NULL,
    partition INTEGER NOT NULL, position INTEGER NOT NULL, event TEXT NOT NULL,
    stream TEXT NOT NULL, version INTEGER NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (name, generation, run, key, arrival)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX kronika_letter
    ON kronika_letters (name, generation, run, key, partition, position);

CREATE TABLE kronika_acts (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL,
    who TEXT NOT NULL, why TEXT NOT NULL, act TEXT NOT NULL
) STRICT;
";

/// Makes the tables in a fresh file, and brings those of an older schema to this one.
pub(crate) fn make(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            for tables in [READ_MODELS, CHECKPOINTS, OTHERS] {
                transaction.execute_batch(tables)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        1 => from_1::migrate(transaction)?,
        _ => return Ok(()),
    }
    transaction.pragma_update(None, "user_version", SCHEMA)
}
