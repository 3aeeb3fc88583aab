//! Handlers of batches with a transaction at hand, for what does not fit one row for each key.

use crate::{
    checkpoints,
    error::fault,
    query::panic_message,
    store::{SqliteReadModels, transact},
};
use kronika_core::{
    Batch, BatchError, BatchProjection, BoxFuture, Checkpoint, Decoded, Generation,
    OpenReadModelError, ProjectionName, ReadModelId, RecordedEvent, SpecError, StoreFault,
    Takeover,
};
use rusqlite::{Transaction, params};
use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

/// What came of a batch.
pub type Handled = Result<(), Box<dyn Error + Send + Sync>>;

/// A projection that handles batches of events with SQL of its own: its tables and its checkpoint are written
/// in one transaction.
///
/// # Contract
///
/// `handle` keeps what it knows in its tables, not in itself: a batch that fails is rolled back and handled
/// again, by halves, until the event that fails is known. It does not end the transaction, and waits for
/// nothing: all projections of the file share its thread. Its tables belong to it alone, and are not named
/// like a projection.
///
/// ```
/// use kronika_core::RecordedEvent;
/// use kronika_sqlite::{BatchHandler, Handled, rusqlite::Transaction};
///
/// /// Every event by its hour, over all auctions.
/// struct Hours;
///
/// impl BatchHandler for Hours {
///     const NAME: &'static str = "hours";
///     const FOLLOWS: &'static [&'static str] = &["auction"];
///
///     fn create(&mut self, transaction: &Transaction<'_>) -> Handled {
///         let tables = "DROP TABLE IF EXISTS hour;
///             CREATE TABLE hour (hour INTEGER PRIMARY KEY, events INTEGER NOT NULL)";
///         Ok(transaction.execute_batch(tables)?)
///     }
///
///     fn handle(&mut self, events: &[RecordedEvent], transaction: &Transaction<'_>) -> Handled {
///         let mut add = transaction.prepare_cached(
///             "INSERT INTO hour VALUES (?1, 1) ON CONFLICT DO UPDATE SET events = events + 1",
///         )?;
///         for event in events {
///             add.execute([event.time().get() / 3_600_000_000])?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait BatchHandler: Send + 'static {
    /// Stable name: `a-z`, `0-9` and `_`, beginning with a letter.
    const NAME: &'static str;
    /// Raise when the handler or its tables change: `create` is then called again, and every event handled.
    const GENERATION: u32 = 1;
    /// The aggregate types whose events it handles; all if empty.
    const FOLLOWS: &'static [&'static str];

    /// Makes its tables, empty: those of an older generation may be there.
    ///
    /// # Errors
    /// The projection does not start.
    fn create(&mut self, transaction: &Transaction<'_>) -> Handled;

    /// Handles events in the journal's order; never none.
    ///
    /// # Errors
    /// The batch is rolled back, and the projection stops before the event that fails.
    fn handle(&mut self, events: &[RecordedEvent], transaction: &Transaction<'_>) -> Handled;
}

/// A [`BatchHandler`] with the file that its tables are in: what a runner of projections takes.
pub struct SqliteHandler<H> {
    handler: Arc<Mutex<H>>,
    id: ReadModelId,
    read_models: SqliteReadModels,
}

impl SqliteReadModels {
    /// Lets a handler keep its tables in this file.
    ///
    /// # Errors
    /// If its name is none.
    pub fn handler<H: BatchHandler>(&self, handler: H) -> Result<SqliteHandler<H>, SpecError> {
        let (name, generation) = (ProjectionName::new(H::NAME)?, Generation::new(H::GENERATION));
        let id = ReadModelId { name, generation, run: 1 };
        Ok(SqliteHandler { handler: Arc::new(Mutex::new(handler)), id, read_models: self.clone() })
    }
}

impl<H: BatchHandler> BatchProjection for SqliteHandler<H> {
    fn name(&self) -> &ProjectionName {
        &self.id.name
    }

    fn generation(&self) -> Generation {
        self.id.generation
    }

    fn types(&self) -> Vec<String> {
        H::FOLLOWS.iter().map(|&name| name.to_owned()).collect()
    }

    fn open(
        &mut self,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Checkpoint, OpenReadModelError>> {
        let (id, handler) = (self.id.clone(), self.handler.clone());
        Box::pin(self.read_models.write(move |connection| {
            transact(connection, |transaction| {
                let fresh = record(transaction, &id).map_err(|error| fault(&error))?;
                if fresh {
                    run(&handler, transaction, |handler| handler.create(transaction)).map_err(
                        |failed| match failed {
                            Failed::Store(fault) => fault,
                            Failed::Handler(cause) => {
                                StoreFault::Refused(format!("the tables of {id}: {cause}"))
                            }
                        },
                    )?;
                }
                Ok(checkpoints::take_over(transaction, &id, fresh, &takeover)?)
            })
        }))
    }

    fn write(&mut self, batch: Batch, _: Option<Decoded>) -> BoxFuture<'_, Result<(), BatchError>> {
        let (id, handler) = (self.id.clone(), self.handler.clone());
        Box::pin(self.read_models.write(move |connection| {
            transact(connection, |transaction| {
                let Batch { partition, expected, next, .. } = &batch;
                checkpoints::advance(transaction, &id, *partition, expected, next)?;
                if batch.events().is_empty() {
                    return Ok(());
                }
                run(&handler, transaction, |handler| handler.handle(batch.events(), transaction))
                    .map_err(|failed| match failed {
                        Failed::Store(fault) => fault.into(),
                        Failed::Handler(cause) => BatchError::Handler(cause),
                    })
            })
        }))
    }
}

/// Notes that the handler's tables are made; gives whether they were not.
fn record(transaction: &Transaction<'_>, id: &ReadModelId) -> rusqlite::Result<bool> {
    let rows = transaction.execute(
        "INSERT OR IGNORE INTO kronika_read_models (name, generation, run) VALUES (?1, ?2, ?3)",
        params![id.name.as_str(), id.generation.get(), id.run],
    )?;
    Ok(rows == 1)
}

enum Failed {
    /// The store's own error, met by the handler's statements: trying again may help.
    Store(StoreFault),
    Handler(String),
}

/// Runs the handler's code, and tells its errors from the store's.
fn run<H>(
    handler: &Mutex<H>,
    transaction: &Transaction<'_>,
    code: impl FnOnce(&mut H) -> Handled,
) -> Result<(), Failed> {
    let mut handler = handler.lock().expect("panics are caught under it");
    let result = catch_unwind(AssertUnwindSafe(|| code(&mut handler)));
    let result = match result {
        Ok(result) => result,
        Err(panic) => Err(format!("it panicked: {}", panic_message(&*panic)).into()),
    };
    if transaction.is_autocommit() {
        return Err(Failed::Handler("the handler ended the transaction itself".to_owned()));
    }
    result.map_err(|error| match error.downcast_ref::<rusqlite::Error>().map(fault) {
        Some(fault) if fault.may_pass() => Failed::Store(fault),
        _ => Failed::Handler(causes(&*error)),
    })
}

/// An error with its causes, in one line.
fn causes(error: &dyn Error) -> String {
    let (mut line, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

impl<H> std::fmt::Debug for SqliteHandler<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteHandler").field("id", &self.id).finish_non_exhaustive()
    }
}
