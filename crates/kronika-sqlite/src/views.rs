//! Plain names: views that show the tables of the live read model.

use crate::{
    error::fault,
    tables::{changed, found, recorded},
};
use kronika_core::{ProjectionName, ReadModelId, StoreFault};
use rusqlite::{Transaction, params};

/// Lets the plain names show this read model's tables, and no other's of its projection.
pub(crate) fn show(transaction: &Transaction<'_>, id: &ReadModelId) -> Result<(), StoreFault> {
    let made = recorded(transaction, id).map_err(|error| fault(&error))?;
    for table in &made {
        match found(transaction, &table.plain)? {
            Some(sql) if sql == table.view => continue,
            Some(sql) if !is_ours(transaction, &id.name, &table.plain, &sql)? => {
                let what = format!("where the view of {id} should be, there is {sql:?}");
                return Err(changed(&table.plain, what));
            }
            Some(_) => remove(transaction, &table.plain)?,
            None => {}
        }
        transaction.execute_batch(&table.view).map_err(|error| fault(&error))?;
    }
    for plain in plain_names(transaction, &id.name).map_err(|error| fault(&error))? {
        let is_shown = made.iter().any(|table| table.plain == plain);
        if let (false, Some(sql)) = (is_shown, found(transaction, &plain)?)
            && is_ours(transaction, &id.name, &plain, &sql)?
        {
            remove(transaction, &plain)?;
        }
    }
    Ok(())
}

/// Whether a view is one that shows some table of the projection.
fn is_ours(
    transaction: &Transaction<'_>,
    name: &ProjectionName,
    plain: &str,
    sql: &str,
) -> Result<bool, StoreFault> {
    let ours = "SELECT EXISTS (SELECT 1 FROM kronika_tables
                WHERE name = ?1 AND plain = ?2 AND view_sql = ?3)";
    transaction
        .query_row(ours, params![name.as_str(), plain, sql], |row| row.get(0))
        .map_err(|error| fault(&error))
}

/// All plain names of a projection's tables, those of older generations too.
fn plain_names(
    transaction: &Transaction<'_>,
    name: &ProjectionName,
) -> rusqlite::Result<Vec<String>> {
    let mut select =
        transaction.prepare("SELECT DISTINCT plain FROM kronika_tables WHERE name = ?1")?;
    select.query_map([name.as_str()], |row| row.get(0))?.collect()
}

fn remove(transaction: &Transaction<'_>, view: &str) -> Result<(), StoreFault> {
    transaction.execute_batch(&format!("DROP VIEW \"{view}\"")).map_err(|error| fault(&error))
}
