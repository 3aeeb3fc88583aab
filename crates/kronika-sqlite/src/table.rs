//! A read model's table: its statements, made from checked names, and whether it still is what it was.

use crate::{error::fault, values::type_of};
use kronika_core::{Column, Kind, OpenReadModelError, ReadModelId, ReadModelSpec, StoreFault};
use rusqlite::{OptionalExtension, Transaction, params};

/// Rows in one statement, where there are so many.
pub(crate) const ROWS_PER_STATEMENT: usize = 16;

/// The table of one run of a projection.
#[derive(Debug)]
pub(crate) struct Table {
    /// `name__gGENERATION_rRUN`; projections' names hold no `__`.
    pub name: String,
    pub key: Vec<Column>,
    pub row: Vec<Column>,
    create: String,
    view: String,
    pub select: String,
    pub upsert_one: String,
    pub upsert_many: String,
    pub delete: String,
}

impl Table {
    /// Of a spec that was checked: its names need no quoting but for SQL's own words.
    pub fn new(spec: &ReadModelSpec, id: &ReadModelId) -> Self {
        let name = format!("{}__g{}_r{}", id.name, id.generation, id.run);
        let columns: Vec<_> = spec.key.iter().chain(&spec.row).collect();
        let names = list(columns.iter().map(|column| quoted(column.name)), ", ");
        let keys = list(spec.key.iter().map(|column| quoted(column.name)), ", ");
        let definitions = list(
            columns.iter().map(|column| {
                let null = if column.nullable { "" } else { " NOT NULL" };
                format!("{} {}{null}", quoted(column.name), type_of(column.kind))
            }),
            ", ",
        );
        let options = if is_flat(spec) { "STRICT, WITHOUT ROWID" } else { "STRICT" };
        let create =
            format!("CREATE TABLE \"{name}\" ({definitions}, PRIMARY KEY ({keys})) {options}");
        let view = format!("CREATE VIEW \"{}\" AS SELECT {names} FROM \"{name}\"", id.name);
        let wheres =
            list(spec.key.iter().map(|column| format!("{} = ?", quoted(column.name))), " AND ");
        let fields = match spec.row.is_empty() {
            true => "NULL".to_owned(),
            false => list(spec.row.iter().map(|column| quoted(column.name)), ", "),
        };
        let places = format!("({})", list(columns.iter().map(|_| "?".to_owned()), ", "));
        // Every column is given, so replacing a row is the same as changing it, and cheaper.
        let upsert = |rows| {
            let places = list(std::iter::repeat_n(places.clone(), rows), ", ");
            format!("INSERT OR REPLACE INTO \"{name}\" ({names}) VALUES {places}")
        };
        Self {
            select: format!("SELECT {fields} FROM \"{name}\" WHERE {wheres}"),
            upsert_one: upsert(1),
            upsert_many: upsert(ROWS_PER_STATEMENT),
            delete: format!("DELETE FROM \"{name}\" WHERE {wheres}"),
            key: spec.key.clone(),
            row: spec.row.clone(),
            name,
            create,
            view,
        }
    }

    /// Makes the table where it was never made, or sees that it is what it was; then shows it under the
    /// projection's plain name. Gives whether it was made.
    pub fn prepare(
        &self,
        transaction: &Transaction<'_>,
        id: &ReadModelId,
    ) -> Result<bool, OpenReadModelError> {
        let recorded: Option<Option<String>> = transaction
            .query_row(
                "SELECT table_sql FROM kronika_read_models
                 WHERE name = ?1 AND generation = ?2 AND run = ?3",
                params![id.name.as_str(), id.generation.get(), id.run],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| fault(&error))?;
        let found = self.found(transaction, &self.name)?;
        let fresh = match (recorded, found) {
            (None, None) => {
                self.make(transaction, id).map_err(|error| fault(&error))?;
                true
            }
            (None, Some(_)) => return Err(self.changed("it is there, but was not made here")),
            (Some(recorded), _) if recorded.as_deref() != Some(&*self.create) => {
                let (name, generation) = (id.name.clone(), id.generation);
                return Err(OpenReadModelError::Columns { name, generation });
            }
            (Some(_), None) => return Err(self.changed("it is missing")),
            (Some(_), Some(sql)) if sql != self.create => {
                return Err(self.changed(&format!("it is now {sql:?}")));
            }
            (Some(_), Some(_)) => {
                self.check_additions(transaction)?;
                false
            }
        };
        self.show(transaction, id)?;
        Ok(fresh)
    }

    fn make(&self, transaction: &Transaction<'_>, id: &ReadModelId) -> rusqlite::Result<()> {
        transaction.execute_batch(&self.create)?;
        transaction.execute(
            "INSERT INTO kronika_read_models (name, generation, run, table_sql, view_sql)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id.name.as_str(), id.generation.get(), id.run, self.create, self.view],
        )?;
        Ok(())
    }

    /// An index for queries does no harm; a trigger or one that refuses rows does.
    fn check_additions(&self, transaction: &Transaction<'_>) -> Result<(), StoreFault> {
        let addition: Option<String> = transaction
            .query_row(
                "SELECT name FROM sqlite_schema WHERE tbl_name = ?1 AND (type = 'trigger'
                 OR name IN (SELECT name FROM pragma_index_list(?1) WHERE origin = 'c' AND \"unique\"))",
                [&self.name],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| fault(&error))?;
        match addition {
            Some(name) => {
                let what = format!("{name} was added to it");
                Err(StoreFault::Changed { table: self.name.clone(), what })
            }
            None => Ok(()),
        }
    }

    /// Lets the view by the plain name show this table.
    fn show(&self, transaction: &Transaction<'_>, id: &ReadModelId) -> Result<(), StoreFault> {
        let view = id.name.as_str();
        match self.found(transaction, view)? {
            Some(sql) if sql == self.view => return Ok(()),
            Some(sql) => {
                let ours = transaction.query_row(
                    "SELECT count(*) FROM kronika_read_models WHERE name = ?1 AND view_sql = ?2",
                    params![view, sql],
                    |row| row.get::<_, u32>(0),
                );
                if ours.map_err(|error| fault(&error))? == 0 {
                    let what =
                        format!("where the view of the projection should be, there is {sql:?}");
                    return Err(StoreFault::Changed { table: view.to_owned(), what });
                }
                let drop = format!("DROP VIEW {}", quoted(view));
                transaction.execute_batch(&drop).map_err(|error| fault(&error))?;
            }
            None => {}
        }
        transaction.execute_batch(&self.view).map_err(|error| fault(&error))
    }

    fn found(
        &self,
        transaction: &Transaction<'_>,
        name: &str,
    ) -> Result<Option<String>, StoreFault> {
        transaction
            .query_row(
                "SELECT sql FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')",
                [name],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| fault(&error))
    }

    fn changed(&self, what: &str) -> OpenReadModelError {
        StoreFault::Changed { table: self.name.clone(), what: what.to_owned() }.into()
    }
}

/// Whether rows lie in the key's own tree. A single whole number is a key that SQLite finds rows by anyway,
/// and long rows make a tree of keys deep.
fn is_flat(spec: &ReadModelSpec) -> bool {
    let whole = matches!(&*spec.key, [Column { kind: Kind::Integer | Kind::Time, .. }]);
    !whole && !spec.row.iter().any(|column| column.kind == Kind::Bytes)
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn list(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}
