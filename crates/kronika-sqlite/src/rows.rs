//! Loading and writing the rows of a batch.

use crate::{
    error::fault_of_table,
    table::{ROWS_PER_STATEMENT, Table},
    values::{Bound, read},
};
use kronika_core::{StoreFault, Value};
use rusqlite::{CachedStatement, Connection};

/// The rows of some keys, in their order.
pub(crate) fn load(
    connection: &Connection,
    table: &Table,
    keys: &[Vec<Value>],
) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
    let failed = |error| fault_of_table(&table.name, &error);
    let mut select = connection.prepare_cached(&table.select).map_err(failed)?;
    let row = |key: &Vec<Value>| {
        assert_eq!(key.len(), table.key.len(), "a key has a value for each of its columns");
        bind(&mut select, 0, key).map_err(failed)?;
        let mut rows = select.raw_query();
        let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
        let value = |(index, column)| {
            let value = row.get_ref(index).map_err(failed)?;
            read(column, value).map_err(|error| StoreFault::Changed {
                table: table.name.clone(),
                what: error.to_string(),
            })
        };
        table.row.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>().map(Some)
    };
    keys.iter().map(row).collect()
}

/// Writes the rows of a batch, within the caller's transaction.
pub(crate) fn write(
    connection: &Connection,
    table: &Table,
    upserts: &[Vec<Value>],
    deletes: &[Vec<Value>],
) -> Result<(), StoreFault> {
    let failed = |error| fault_of_table(&table.name, &error);
    let prepare = |sql| connection.prepare_cached(sql).map_err(failed);
    let width = table.key.len() + table.row.len();
    let chunks = upserts.chunks_exact(ROWS_PER_STATEMENT);
    let rest = chunks.remainder();
    if upserts.len() >= ROWS_PER_STATEMENT {
        let mut upsert = prepare(&table.upsert_many)?;
        for chunk in chunks {
            for (place, row) in chunk.iter().enumerate() {
                assert_eq!(row.len(), width, "a row has a value for each column");
                bind(&mut upsert, place * width, row).map_err(failed)?;
            }
            upsert.raw_execute().map_err(failed)?;
        }
    }
    if !rest.is_empty() {
        let mut upsert = prepare(&table.upsert_one)?;
        for row in rest {
            assert_eq!(row.len(), width, "a row has a value for each column");
            bind(&mut upsert, 0, row).map_err(failed)?;
            upsert.raw_execute().map_err(failed)?;
        }
    }
    if !deletes.is_empty() {
        let mut delete = prepare(&table.delete)?;
        for key in deletes {
            bind(&mut delete, 0, key).map_err(failed)?;
            delete.raw_execute().map_err(failed)?;
        }
    }
    Ok(())
}

fn bind(
    statement: &mut CachedStatement<'_>,
    before: usize,
    values: &[Value],
) -> rusqlite::Result<()> {
    values.iter().enumerate().try_for_each(|(index, value)| {
        statement.raw_bind_parameter(before + index + 1, Bound(value))
    })
}
