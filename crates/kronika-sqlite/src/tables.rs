//! The tables of read models: made once, and whether they still are what they were.

use crate::{
    error::fault,
    stages::{OF, of},
    table::Table,
};
use kronika_core::{ReadModelId, StoreFault};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// What the names of a run's tables begin with; projections' names hold no `__`.
pub(crate) fn base_name(id: &ReadModelId) -> String {
    format!("{}__g{}_r{}", id.name, id.generation, id.run)
}

/// A table as it was recorded when it was made.
pub(crate) struct Made {
    /// What the view is called that shows it when its read model is live.
    pub plain: String,
    pub name: String,
    pub sql: String,
    additions: String,
    pub view: String,
}

/// The tables of a read model that were made.
pub(crate) fn recorded(connection: &Connection, id: &ReadModelId) -> rusqlite::Result<Vec<Made>> {
    let sql = format!(
        "SELECT plain, table_name, table_sql, additions, view_sql FROM kronika_tables WHERE {OF}"
    );
    let made = |row: &Row<'_>| {
        let (plain, name, sql) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Made { plain, name, sql, additions: row.get(3)?, view: row.get(4)? })
    };
    connection.prepare(&sql)?.query_map(of(id), made)?.collect()
}

/// Makes the table of a keyed read model.
pub(crate) fn make(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    table: &Table,
) -> Result<(), StoreFault> {
    if found(transaction, &table.name)?.is_some() {
        return Err(changed(&table.name, "it is there, but was not made here".to_owned()));
    }
    transaction.execute_batch(&table.create).map_err(|error| fault(&error))?;
    record(transaction, id, id.name.as_str(), &table.name, &table.view)
}

/// Records a table that was made just now.
pub(crate) fn record(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    plain: &str,
    table_name: &str,
    view_sql: &str,
) -> Result<(), StoreFault> {
    let (name, generation, run) = of(id);
    let table_sql = found(transaction, table_name)?;
    let additions = text_of(&additions(transaction, table_name)?);
    transaction
        .execute(
            "INSERT INTO kronika_tables VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![name, generation, run, plain, table_name, table_sql, additions, view_sql],
        )
        .map_err(|error| fault(&error))?;
    Ok(())
}

/// Refuses tables that are not as they were made.
pub(crate) fn check(transaction: &Transaction<'_>, made: &[Made]) -> Result<(), StoreFault> {
    for table in made {
        match found(transaction, &table.name)? {
            None => return Err(changed(&table.name, "it is missing".to_owned())),
            Some(sql) if sql != table.sql => {
                return Err(changed(&table.name, format!("it is now {sql:?}")));
            }
            Some(_) => {}
        }
        let additions = additions(transaction, &table.name)?;
        if text_of(&additions) != table.additions {
            let new = additions.iter().find(|(_, sql)| !table.additions.contains(sql.as_str()));
            let what = match new {
                Some((name, _)) => format!("{name} was added to it"),
                None => "a trigger or an index of it is missing".to_owned(),
            };
            return Err(changed(&table.name, what));
        }
    }
    Ok(())
}

/// Removes the tables of a read model, with the record of them.
pub(crate) fn remove(transaction: &Transaction<'_>, id: &ReadModelId) -> rusqlite::Result<()> {
    for table in recorded(transaction, id)? {
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS \"{}\"", table.name))?;
    }
    transaction.execute(&format!("DELETE FROM kronika_tables WHERE {OF}"), of(id)).map(|_| ())
}

/// The SQL of a table or view, if there is one of that name.
pub(crate) fn found(connection: &Connection, name: &str) -> Result<Option<String>, StoreFault> {
    let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')";
    let found = connection.query_row(sql, [name], |row| row.get(0)).optional();
    found.map_err(|error| fault(&error))
}

/// An index for queries does no harm; a trigger or one that refuses rows may.
fn additions(
    transaction: &Transaction<'_>,
    table: &str,
) -> Result<Vec<(String, String)>, StoreFault> {
    let select = || -> rusqlite::Result<Vec<(String, String)>> {
        let mut select = transaction.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE tbl_name = ?1 AND (type = 'trigger'
             OR name IN (SELECT name FROM pragma_index_list(?1) WHERE origin = 'c' AND \"unique\"))
             ORDER BY name",
        )?;
        select.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    select().map_err(|error| fault(&error))
}

fn text_of(additions: &[(String, String)]) -> String {
    additions.iter().map(|(_, sql)| sql.as_str()).collect::<Vec<_>>().join(";\n")
}

/// A table is not what it was made as.
pub(crate) fn changed(table: &str, what: String) -> StoreFault {
    StoreFault::Changed { table: table.to_owned(), what }
}
