//! From schema 1, in which a name had one read model for each generation and the newest to start was shown.
//!
//! Rows and checkpoints stay as they are. What handlers of batches made under names of their own is given
//! its present name when the handler is opened, since only then its tables are known.

use super::{OTHERS, READ_MODELS};
use crate::stages::now;
use rusqlite::{Transaction, params};

/// The one that is shown becomes live; of handlers' own tables, which all generations shared, the newest.
const FILL: &str = "
INSERT INTO kronika_read_models (name, generation, run, stage, made, begun)
SELECT name, generation, run, 'old', 1, ?1 FROM kronika_read_models_1
WHERE table_sql IS NOT NULL OR generation = (
    SELECT max(newest.generation) FROM kronika_read_models_1 newest WHERE newest.name = kronika_read_models_1.name
)";
const LIVE: &str = "
UPDATE kronika_read_models SET stage = 'live' WHERE generation = (
    SELECT made.generation FROM kronika_read_models_1 made
    LEFT JOIN sqlite_schema view
        ON view.type = 'view' AND view.name = made.name AND view.sql = made.view_sql
    WHERE made.name = kronika_read_models.name
    ORDER BY view.name IS NULL, made.generation DESC LIMIT 1
)";
const REST: &str = "
INSERT INTO kronika_tables
SELECT name, generation, run, name, name || '__g' || generation || '_r' || run, table_sql, '', view_sql
FROM kronika_read_models_1 WHERE table_sql IS NOT NULL;
DELETE FROM kronika_checkpoints WHERE NOT EXISTS (
    SELECT 1 FROM kronika_read_models made WHERE made.name = kronika_checkpoints.name
    AND made.generation = kronika_checkpoints.generation AND made.run = kronika_checkpoints.run
);
DROP TABLE kronika_read_models_1;";

pub(super) fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    // Nothing was ever parked under schema 1.
    transaction.execute_batch(
        "ALTER TABLE kronika_read_models RENAME TO kronika_read_models_1; DROP TABLE kronika_parked;",
    )?;
    transaction.execute_batch(READ_MODELS)?;
    transaction.execute_batch(OTHERS)?;
    transaction.execute(FILL, params![now().get()])?;
    transaction.execute(LIVE, [])?;
    transaction.execute_batch(REST)
}
