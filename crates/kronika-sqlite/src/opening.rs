//! Taking a read model over: its handler is the one that it was made with, and its tables are what they were.

use crate::{
    checkpoints,
    error::fault,
    fingerprint::{Recorded, differs, record},
    own_tables::HandlerTables,
    parked,
    stages::stage,
    table::Table,
    tables, views,
};
use kronika_core::{
    OpenReadModelError, Opened, ReadModelId, ReadModelSpec, Stage, StoreFault, Tables, Takeover,
};
use rusqlite::Transaction;

/// The tables of a read model, as this process knows them.
pub(crate) enum Kept {
    Keyed(Table),
    Own(HandlerTables),
}

impl Kept {
    pub fn new(id: &ReadModelId, spec: &ReadModelSpec) -> Result<Self, StoreFault> {
        match &spec.tables {
            Tables::Keyed { key, row } => Ok(Self::Keyed(Table::new(id, key, row))),
            Tables::Own(names) => Ok(Self::Own(HandlerTables::new(id, names))),
            other => Err(StoreFault::Refused(format!("{id}: SQLite has no tables {other:?}"))),
        }
    }
}

/// Takes a read model over, in one transaction; gives also what it is for. `create` makes a handler's own
/// tables.
pub(crate) fn open(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    spec: &ReadModelSpec,
    takeover: &Takeover,
    kept: &Kept,
    create: impl FnOnce(&HandlerTables) -> Result<(), StoreFault>,
) -> Result<(Opened, Stage), OpenReadModelError> {
    let recorded = Recorded::find(transaction, id).map_err(|error| fault(&error))?;
    let gone = || OpenReadModelError::Gone(id.clone());
    let recorded = recorded.ok_or_else(gone)?;
    recorded.check(spec)?;
    if recorded.made {
        check(transaction, id, spec, kept, &recorded)?;
    } else {
        make(transaction, id, kept, create)?;
    }
    record(transaction, id, spec)?;
    let stage = stage(transaction, id)?.ok_or_else(gone)?;
    if stage == Stage::Live {
        views::show(transaction, id)?;
    }
    let checkpoint = checkpoints::take_over(transaction, id, !recorded.made, takeover)?;
    let parked = parked::list(transaction, id, None, usize::MAX)?;
    Ok((Opened { checkpoint, parked }, stage))
}

fn make(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    kept: &Kept,
    create: impl FnOnce(&HandlerTables) -> Result<(), StoreFault>,
) -> Result<(), StoreFault> {
    match kept {
        Kept::Keyed(table) => tables::make(transaction, id, table),
        Kept::Own(own) => {
            let before = own.others(transaction)?;
            create(own)?;
            own.record(transaction, &before)
        }
    }
}

fn check(
    transaction: &Transaction<'_>,
    id: &ReadModelId,
    spec: &ReadModelSpec,
    kept: &Kept,
    recorded: &Recorded,
) -> Result<(), OpenReadModelError> {
    let mut made = tables::recorded(transaction, id).map_err(|error| fault(&error))?;
    if recorded.is_unknown() {
        match kept {
            Kept::Keyed(table) => {
                let then = made.iter().map(|made| made.sql.as_str()).collect::<Vec<_>>().join("; ");
                if then != table.create {
                    return Err(differs(spec, "tables", then, table.create.clone()));
                }
            }
            Kept::Own(own) => {
                own.adopt(transaction)?;
                made = tables::recorded(transaction, id).map_err(|error| fault(&error))?;
            }
        }
    }
    Ok(tables::check(transaction, &made)?)
}
