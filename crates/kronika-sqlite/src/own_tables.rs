//! The tables that a handler of batches makes itself: what they are called, and that it made them and nothing
//! else.

use crate::{
    error::fault,
    tables::{base_name, changed, found, record},
};
use kronika_core::{ReadModelId, StoreFault};
use rusqlite::Transaction;
use std::collections::BTreeMap;

/// The tables of a handler of batches, by what they are called in the file: each building of the read model
/// has tables of its own, and a view by the plain name shows the live one's.
#[derive(Debug, Clone)]
pub struct HandlerTables {
    id: ReadModelId,
    /// By plain name.
    names: Vec<(&'static str, String)>,
}

impl HandlerTables {
    pub(crate) fn new(id: &ReadModelId, plain: &[&'static str]) -> Self {
        let base = base_name(id);
        let names = plain.iter().map(|&plain| (plain, format!("{base}__{plain}"))).collect();
        Self { id: id.clone(), names }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What a declared table is called in the file: of `a-z`, `0-9` and `_` alone, so that it can stand in SQL
    /// as it is. Indexes and triggers of the table are best named with it in front.
    ///
    /// # Panics
    /// If the handler does not declare it.
    pub fn name(&self, plain: &str) -> &str {
        let found = self.names.iter().find(|(declared, _)| *declared == plain);
        &found.unwrap_or_else(|| panic!("table {plain} is not declared in TABLES")).1
    }

    /// Records what the handler made, if it made its tables and touched no other. `before` is what there was.
    pub(crate) fn record(
        &self,
        transaction: &Transaction<'_>,
        before: &Others,
    ) -> Result<(), StoreFault> {
        let refused =
            |what: String| StoreFault::Refused(format!("the tables of {}: {what}", self.id));
        let after = self.others(transaction)?;
        let touched = before.0.iter().find(|&(name, sql)| after.0.get(name) != Some(sql));
        let made = after.0.keys().find(|name| !before.0.contains_key(*name));
        if let Some(name) = touched.map(|(name, _)| name).or(made) {
            return Err(refused(format!(
                "create made or changed {name}, which is not in TABLES: make only tables.name(...)"
            )));
        }
        for (plain, name) in &self.names {
            let is_table = transaction
                .query_row(
                    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
                    [name],
                    |row| row.get::<_, u32>(0),
                )
                .map_err(|error| fault(&error))?;
            if is_table == 0 {
                return Err(refused(format!(
                    "{plain} is in TABLES, but create made no table {name}"
                )));
            }
        }
        self.record_all(transaction)
    }

    fn record_all(&self, transaction: &Transaction<'_>) -> Result<(), StoreFault> {
        self.names.iter().try_for_each(|(plain, name)| {
            let view = format!("CREATE VIEW \"{plain}\" AS SELECT * FROM \"{name}\"");
            record(transaction, &self.id, plain, name, &view)
        })
    }

    /// Gives tables that were made under their plain names, before runs had names of their own, these names.
    pub(crate) fn adopt(&self, transaction: &Transaction<'_>) -> Result<(), StoreFault> {
        for (plain, name) in &self.names {
            if found(transaction, plain)?.is_none() {
                return Err(changed(plain, "it is missing".to_owned()));
            }
            transaction
                .execute_batch(&format!("ALTER TABLE \"{plain}\" RENAME TO \"{name}\""))
                .map_err(|error| changed(plain, error.to_string()))?;
        }
        self.record_all(transaction)
    }

    /// What is in the file beside these tables and what belongs to them.
    pub(crate) fn others(&self, transaction: &Transaction<'_>) -> Result<Others, StoreFault> {
        let all = || -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
            let mut select = transaction.prepare(
                "SELECT tbl_name, type || ' ' || name, sql FROM sqlite_schema
                 WHERE tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            )?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        };
        let all = all().map_err(|error| fault(&error))?;
        // A virtual table keeps what it has in tables by its name with something behind.
        let is_own = |table: &str| {
            self.names.iter().any(|(_, name)| {
                table
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            })
        };
        let others = all.into_iter().filter(|(table, ..)| !is_own(table));
        Ok(Others(others.map(|(_, name, sql)| (name, sql)).collect()))
    }
}

/// Everything in a file that is not some handler's, with its SQL.
pub(crate) struct Others(BTreeMap<String, Option<String>>);
