//! The contract of stores of read models: each call is one transaction on the writing thread.

use super::{SqliteReadModels, read, transact};
use crate::{
    acts, checkpoints,
    opening::{self, Kept},
    own_tables::HandlerTables,
    parked,
    pool::Turn,
    rows,
    stages::{self, gone},
    switching,
    table::Table,
};
use kronika_core::{
    Act, ActError, ActRecord, By, Commit, CommitError, KeyText, Letter, LiveHistory,
    OpenReadModelError, Opened, ParkedKey, ReadModel, ReadModelId, ReadModelSpec, ReadModelStore,
    Report, StoreFault, SwitchError, Takeover, Value,
};
use rusqlite::{Connection, Transaction};
use std::sync::Arc;

impl ReadModelStore for SqliteReadModels {
    fn identity(&self) -> usize {
        Arc::as_ptr(&self.inner) as usize
    }

    async fn begin(&self, spec: ReadModelSpec) -> Result<Vec<ReadModel>, OpenReadModelError> {
        spec.check()?;
        let begin = move |connection: &mut Connection| {
            transact(connection, |transaction| Ok(stages::begin(transaction, &spec)?))
        };
        self.write(Turn::Next, begin).await
    }

    async fn open(
        &self,
        spec: ReadModelSpec,
        run: u32,
        takeover: Takeover,
    ) -> Result<Opened, OpenReadModelError> {
        spec.check()?;
        let id = ReadModelId { name: spec.name.clone(), generation: spec.generation, run };
        let kept = Arc::new(Kept::new(&id, &spec)?);
        let job = {
            let (id, kept) = (id.clone(), kept.clone());
            move |connection: &mut Connection| {
                transact(connection, |transaction| {
                    opening::open(transaction, &id, &spec, &takeover, &kept, no_handler)
                })
            }
        };
        let (opened, stage) = self.write(Turn::Next, job).await?;
        self.note_opened(id, kept, stage, takeover.incarnation);
        Ok(opened)
    }

    async fn load(
        &self,
        read_model: &ReadModelId,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
        let (kept, turn) = self.opened(read_model)?;
        let id = read_model.clone();
        // The writing connection has the pages at hand that it wrote last; one that reads would load them anew.
        let load = move |connection: &mut Connection| {
            // One transaction, or SQLite locks the file for each row anew.
            read(connection, |transaction| {
                match rows::load(transaction, keyed(&kept, &id)?, &keys) {
                    Err(StoreFault::Changed { .. }) if !stages::exists(transaction, &id)? => {
                        Err(gone(&id))
                    }
                    loaded => loaded,
                }
            })
        };
        self.write(turn, load).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        let (kept, turn) = self.opened(&commit.read_model)?;
        #[cfg(feature = "planted-faults")]
        if let Some(fault) = self.planted() {
            let commit =
                move |connection: &mut Connection| fault.commit(connection, &kept, &commit);
            return self.write(turn, commit).await;
        }
        let commit = move |connection: &mut Connection| {
            transact(connection, |transaction| {
                let Commit { read_model, partition, expected, next, .. } = &*commit;
                checkpoints::advance(transaction, read_model, *partition, expected, next)?;
                Ok(write(transaction, &kept, &commit)?)
            })
        };
        self.write(turn, commit).await
    }

    async fn switch(&self, to: &ReadModelId, live: LiveHistory) -> Result<(), SwitchError> {
        let (id, present) = (to.clone(), self.present(to));
        let switch = move |connection: &mut Connection| {
            transact(connection, |transaction| switching::switch(transaction, &id, present, live))
        };
        self.write(Turn::Next, switch).await?;
        self.note_live(to);
        Ok(())
    }

    async fn read_models(&self) -> Result<Vec<ReadModel>, StoreFault> {
        self.list(|connection| stages::list(connection, None)).await
    }

    async fn parked(
        &self,
        read_model: &ReadModelId,
        after: Option<KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreFault> {
        let id = read_model.clone();
        self.list(move |connection| parked::list(connection, &id, after.as_ref(), limit)).await
    }

    async fn letters(
        &self,
        read_model: &ReadModelId,
        key: KeyText,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreFault> {
        let id = read_model.clone();
        self.list(move |connection| parked::letters(connection, &id, &key, skip, limit)).await
    }

    async fn act(&self, act: Act, by: By) -> Result<(), ActError> {
        let dropped = if let Act::Drop(id) = &act { Some(id.clone()) } else { None };
        let job = move |connection: &mut Connection| {
            transact(connection, |transaction| acts::act(transaction, &act, &by))
        };
        self.write(Turn::Next, job).await?;
        if let Some(id) = dropped {
            self.inner.opened().remove(&id);
        }
        Ok(())
    }

    async fn acts(&self, limit: usize) -> Result<Vec<ActRecord>, StoreFault> {
        self.list(move |connection| acts::list(connection, limit)).await
    }

    async fn report(&self, read_model: &ReadModelId, report: Report) -> Result<(), StoreFault> {
        let id = read_model.clone();
        let job = move |connection: &mut Connection| {
            transact(connection, |transaction| stages::report(transaction, &id, &report))
        };
        self.write(Turn::Next, job).await
    }
}

impl SqliteReadModels {
    /// Reads on the writing thread: queries never keep the projections waiting.
    async fn list<T: Send + 'static>(
        &self,
        list: impl FnOnce(&Connection) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let list =
            move |connection: &mut Connection| read(connection, |transaction| list(transaction));
        self.write(Turn::Next, list).await
    }
}

/// Tables that a handler makes are not made without it.
fn no_handler(tables: &HandlerTables) -> Result<(), StoreFault> {
    match tables.is_empty() {
        true => Ok(()),
        false => Err(StoreFault::Refused(
            "tables of its own are made by a handler: see SqliteReadModels::handler".to_owned(),
        )),
    }
}

/// Writes what a commit brings beside its checkpoint.
pub(super) fn write(
    transaction: &Transaction<'_>,
    kept: &Kept,
    commit: &Commit,
) -> Result<(), StoreFault> {
    let Commit { read_model, upserts, deletes, parked, .. } = commit;
    parked::apply(transaction, read_model, parked)?;
    if upserts.is_empty() && deletes.is_empty() {
        return Ok(());
    }
    rows::write(transaction, keyed(kept, read_model)?, upserts, deletes)
}

/// The table of a keyed read model.
fn keyed<'a>(kept: &'a Kept, id: &ReadModelId) -> Result<&'a Table, StoreFault> {
    match kept {
        Kept::Keyed(table) => Ok(table),
        Kept::Own(_) => Err(StoreFault::Refused(format!("{id} has no rows found by a key"))),
    }
}
