//! A handler of batches as its runner sees it.

use super::{
    BatchHandler,
    running::{Deadline, Failed, run},
};
use crate::{
    checkpoints,
    opening::{self, Kept},
    parked,
    pool::Turn,
    store::{SqliteReadModels, transact},
};
use kronika_core::{
    Batch, BatchError, BatchProjection, BoxFuture, Decoded, EventFailure, OpenReadModelError,
    Opened, ReadModelId, ReadModelSpec, SharedReadModelStore, StoreFault, Takeover, Written,
};
use rusqlite::Connection;
use std::{
    pin::pin,
    sync::{Arc, Mutex},
};
use tokio::time::timeout;

/// A [`BatchHandler`] with the file that its tables are in: what a runner of projections takes.
pub struct SqliteHandler<H> {
    handler: Arc<Mutex<H>>,
    spec: ReadModelSpec,
    /// What was opened.
    id: Option<ReadModelId>,
    read_models: SqliteReadModels,
}

impl<H> SqliteHandler<H> {
    pub(super) fn new(handler: H, spec: ReadModelSpec, read_models: SqliteReadModels) -> Self {
        Self { handler: Arc::new(Mutex::new(handler)), spec, id: None, read_models }
    }
}

impl<H: BatchHandler> BatchProjection for SqliteHandler<H> {
    fn spec(&self) -> &ReadModelSpec {
        &self.spec
    }

    fn store(&self) -> SharedReadModelStore {
        Arc::new(self.read_models.clone())
    }

    fn another(&self) -> Box<dyn BatchProjection> {
        let (handler, spec) = (self.handler.clone(), self.spec.clone());
        Box::new(Self { handler, spec, id: None, read_models: self.read_models.clone() })
    }

    fn open(
        &mut self,
        run: u32,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Opened, OpenReadModelError>> {
        Box::pin(self.take_over(run, takeover))
    }

    fn write(
        &mut self,
        batch: Batch,
        _: Option<Decoded>,
    ) -> BoxFuture<'_, Result<Written, BatchError>> {
        Box::pin(self.handle(batch))
    }
}

impl<H: BatchHandler> SqliteHandler<H> {
    async fn take_over(
        &mut self,
        number: u32,
        takeover: Takeover,
    ) -> Result<Opened, OpenReadModelError> {
        let (name, generation) = (self.spec.name.clone(), self.spec.generation);
        let id = ReadModelId { name, generation, run: number };
        let kept = Arc::new(Kept::new(&id, &self.spec)?);
        let deadline = Deadline::within(self.read_models.inner.settings.handler_time_max);
        let job = {
            let (id, kept, spec) = (id.clone(), kept.clone(), self.spec.clone());
            let handler = self.handler.clone();
            move |connection: &mut Connection| {
                deadline.watch(connection, |connection| {
                    transact(connection, |transaction| {
                        opening::open(transaction, &id, &spec, &takeover, &kept, |tables| {
                            run(&handler, transaction, &deadline, |handler| {
                                handler.create(tables, transaction)
                            })
                            .map_err(|failed| not_made(&id, failed))
                        })
                    })
                })
            }
        };
        let (opened, stage) = self.read_models.write(Turn::Next, job).await?;
        self.read_models.note_opened(id.clone(), kept, stage, takeover.incarnation);
        self.id = Some(id);
        Ok(opened)
    }

    async fn handle(&mut self, batch: Batch) -> Result<Written, BatchError> {
        let not_opened =
            || StoreFault::Refused(format!("the read model of {} was not opened", self.spec.name));
        let id = self.id.clone().ok_or_else(not_opened)?;
        let (kept, turn) = self.read_models.opened(&id)?;
        let deadline = Deadline::within(self.read_models.inner.settings.handler_time_max);
        let (handler, watched) = (self.handler.clone(), deadline.clone());
        let first = batch.events().first().cloned();
        let job = move |connection: &mut Connection| {
            deadline.watch(connection, |connection| {
                transact(connection, |transaction| {
                    let Batch { partition, expected, next, parked, .. } = &batch;
                    checkpoints::advance(transaction, &id, *partition, expected, next)?;
                    parked::apply(transaction, &id, parked)?;
                    let Kept::Own(tables) = &*kept else {
                        unreachable!("a handler opens tables of its own")
                    };
                    if batch.events().is_empty() {
                        return Ok(Written::default());
                    }
                    let handled = run(&handler, transaction, &deadline, |handler| {
                        handler.handle(batch.events(), tables, transaction)
                    });
                    handled.map_err(|failed| match failed {
                        Failed::Store(fault) => fault.into(),
                        Failed::Handler(cause) => BatchError::Handler(cause),
                    })?;
                    Ok(Written::default())
                })
            })
        };
        let mut writing = pin!(self.read_models.write(turn, job));
        loop {
            let (time_max, is_done) = (watched.time(), timeout(watched.time(), &mut writing).await);
            match (is_done, &first) {
                (Ok(done), _) => return done,
                // The writing thread is lost with it, until it ends: nothing can interrupt such code.
                (Err(_), Some(first)) if watched.is_overdue() => {
                    let cause = "its handler does not end, and holds the thread that all projections of the file \
                                 write on";
                    let failure = Box::new(EventFailure::of(first, cause));
                    return Err(BatchError::Stuck { failure, time_max });
                }
                (Err(_), _) => {}
            }
        }
    }
}

fn not_made(id: &ReadModelId, failed: Failed) -> StoreFault {
    match failed {
        Failed::Store(fault) => fault,
        Failed::Handler(cause) => StoreFault::Refused(format!("the tables of {id}: {cause}")),
    }
}

impl<H> std::fmt::Debug for SqliteHandler<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteHandler").field("id", &self.id).finish_non_exhaustive()
    }
}
