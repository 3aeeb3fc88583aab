//! Kronika's own tables beside the read models. Their names begin with `kronika_`, which no read model's does.

use rusqlite::Transaction;

/// `kron`, in the file's header: whose database it is.
pub(crate) const APPLICATION_ID: u32 = 0x6b72_6f6e;
/// Number of this schema, in the file's header.
pub(crate) const SCHEMA: u32 = 1;

/// Everything belongs to one run of one generation of a projection, so that several can stand side by side.
/// A hash range has its own checkpoints, one for each journal partition, all under the range's epoch.
const TABLES: &str = "
CREATE TABLE kronika_read_models (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    -- As they were made, to notice what was changed since; null for batch handlers' own tables.
    table_sql TEXT, view_sql TEXT,
    PRIMARY KEY (name, generation, run)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE kronika_parked (
    name TEXT NOT NULL, generation INTEGER NOT NULL, run INTEGER NOT NULL,
    -- The key's values, and the first event that waits.
    key TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
    stream TEXT NOT NULL, version INTEGER NOT NULL,
    cause TEXT NOT NULL, parked INTEGER NOT NULL,
    PRIMARY KEY (name, generation, run, key)
) STRICT, WITHOUT ROWID;
";

/// Makes the tables in a fresh file.
pub(crate) fn make(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
    }
    Ok(())
}
