//! What a change of a handler is noticed by, without its generation having been raised.

use crate::{
    error::fault,
    stages::{OF, of},
};
use kronika_core::{OpenReadModelError, ReadModelId, ReadModelSpec};
use rusqlite::{OptionalExtension, Row, Transaction, params};

/// The handled types that stand for all of them. Has a space, which no type's name has.
const ALL_TYPES: &str = "all types";

/// What is recorded of a read model.
pub(crate) struct Recorded {
    /// Its handler's tables, types and order; `None` where nobody has said them yet.
    parts: Option<[String; 3]>,
    /// Whether its tables and checkpoints were made.
    pub made: bool,
}

impl Recorded {
    /// Of a read model; `None` if it is not there.
    pub fn find(transaction: &Transaction<'_>, id: &ReadModelId) -> rusqlite::Result<Option<Self>> {
        let sql =
            format!("SELECT tables, types, kept_order, made FROM kronika_read_models WHERE {OF}");
        let recorded = |row: &Row<'_>| {
            let parts = match row.get(0)? {
                Some(tables) => Some([tables, row.get(1)?, row.get(2)?]),
                None => None,
            };
            Ok(Self { parts, made: row.get(3)? })
        };
        transaction.query_row(&sql, of(id), recorded).optional()
    }

    /// Whether it is from before the fingerprint was recorded: what was made is then looked at instead.
    pub fn is_unknown(&self) -> bool {
        self.parts.is_none()
    }

    /// Refuses another handler than the one that it was made with.
    pub fn check(&self, spec: &ReadModelSpec) -> Result<(), OpenReadModelError> {
        let Some(parts) = &self.parts else { return Ok(()) };
        let names = ["tables", "handled types", "order"];
        for ((what, then), now) in names.into_iter().zip(parts).zip(parts_of(spec)) {
            if *then != now {
                return Err(differs(spec, what, then.clone(), now));
            }
        }
        Ok(())
    }
}

/// The error of one part.
pub(crate) fn differs(
    spec: &ReadModelSpec,
    what: &'static str,
    then: String,
    now: String,
) -> OpenReadModelError {
    let (name, generation) = (spec.name.clone(), spec.generation);
    OpenReadModelError::Fingerprint { name, generation, what, then, now }
}

fn parts_of(spec: &ReadModelSpec) -> [String; 3] {
    let mut types = spec.types.clone();
    types.sort();
    types.dedup();
    let types = if types.is_empty() { ALL_TYPES.to_owned() } else { types.join(", ") };
    [spec.tables.shape(), types, spec.order.name().to_owned()]
}

/// Notes what a read model is made with, and that it is made.
pub(crate) fn record(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    spec: &ReadModelSpec,
) -> Result<(), OpenReadModelError> {
    let (name, generation, run) = of(id);
    let [tables, types, order] = parts_of(spec);
    let sql = format!(
        "UPDATE kronika_read_models SET tables = ?4, types = ?5, kept_order = ?6, made = 1 WHERE {OF}"
    );
    transaction
        .execute(&sql, params![name, generation, run, tables, types, order])
        .map_err(|error| fault(&error))?;
    Ok(())
}
