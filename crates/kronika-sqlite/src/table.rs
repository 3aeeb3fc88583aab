//! The table of a keyed read model: its statements, made from checked names.

use crate::{tables::base_name, values::type_of};
use kronika_core::{Column, Kind, ReadModelId};

/// Rows in one statement, where there are so many.
pub(crate) const ROWS_PER_STATEMENT: usize = 16;

/// The table of one run of a projection.
#[derive(Debug)]
pub(crate) struct Table {
    /// `name__gGENERATION_rRUN`; projections' names hold no `__`.
    pub name: String,
    pub key: Vec<Column>,
    pub row: Vec<Column>,
    pub create: String,
    /// Shows it by the projection's name.
    pub view: String,
    pub select: String,
    pub upsert_one: String,
    pub upsert_many: String,
    pub delete: String,
}

impl Table {
    /// Of columns that were checked: their names need no quoting but for SQL's own words.
    pub fn new(id: &ReadModelId, key: &[Column], row: &[Column]) -> Self {
        let name = base_name(id);
        let columns: Vec<_> = key.iter().chain(row).collect();
        let names = list(columns.iter().map(|column| quoted(column.name)), ", ");
        let keys = list(key.iter().map(|column| quoted(column.name)), ", ");
        let definitions = list(
            columns.iter().map(|column| {
                let null = if column.nullable { "" } else { " NOT NULL" };
                format!("{} {}{null}", quoted(column.name), type_of(column.kind))
            }),
            ", ",
        );
        let options = if is_flat(key, row) { "STRICT, WITHOUT ROWID" } else { "STRICT" };
        let create =
            format!("CREATE TABLE \"{name}\" ({definitions}, PRIMARY KEY ({keys})) {options}");
        let view = format!("CREATE VIEW \"{}\" AS SELECT {names} FROM \"{name}\"", id.name);
        let wheres = list(key.iter().map(|column| format!("{} = ?", quoted(column.name))), " AND ");
        let fields = match row.is_empty() {
            true => "NULL".to_owned(),
            false => list(row.iter().map(|column| quoted(column.name)), ", "),
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
            key: key.to_owned(),
            row: row.to_owned(),
            name,
            create,
            view,
        }
    }
}

/// Whether rows lie in the key's own tree. A single whole number is a key that SQLite finds rows by anyway,
/// and long rows make a tree of keys deep.
fn is_flat(key: &[Column], row: &[Column]) -> bool {
    let whole = matches!(key, [Column { kind: Kind::Integer | Kind::Time, .. }]);
    !whole && !row.iter().any(|column| column.kind == Kind::Bytes)
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn list(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}
