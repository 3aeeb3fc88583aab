//! The read models of a service in one SQLite file.

use crate::{
    checkpoints,
    error::{SqliteOpenError, fault},
    open,
    pool::{Pool, Refused},
    rows,
    settings::SqliteSettings,
    table::Table,
};
use kronika_core::{
    Checkpoint, Commit, CommitError, OpenReadModelError, ReadModelId, ReadModelSpec,
    ReadModelStore, StoreFault, Takeover, Value,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// The read models of a service in one SQLite file: plain tables, one for each keyed projection, shown under
/// the projection's name. Cheap to clone.
///
/// One thread writes, in the order of the calls. Queries run on threads and connections of their own, which
/// cannot write, and see whole batches only. What does not fit the queues is refused.
///
/// The newest batches may be lost with the power, together with the checkpoint that they brought: the
/// projections handle them again from the journal, which is durable.
///
/// The last clone's drop, like [`SqliteReadModels::close`], waits for the batches that were taken on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use kronika_sqlite::{SqliteReadModels, SqliteSettings};
///
/// let path = directory.path().join("read-models.sqlite");
/// let read_models = SqliteReadModels::open(path, SqliteSettings::default())?;
/// let count = read_models
///     .query(|connection| {
///         connection.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'view'", [], |row| {
///             row.get::<_, u64>(0)
///         })
///     })
///     .await?;
/// assert_eq!(count, 0, "no projection has been started yet");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteReadModels {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub path: PathBuf,
    pub settings: SqliteSettings,
    /// Before the writer: the last connection to close moves the write-ahead log into the file.
    pub readers: Pool,
    pub writer: Pool,
    pub closing: Arc<AtomicBool>,
    tables: Mutex<HashMap<ReadModelId, Arc<Table>>>,
    #[cfg(feature = "planted-faults")]
    commits: std::sync::atomic::AtomicU64,
}

impl SqliteReadModels {
    /// Opens the file, or makes it. Blocks for as long as that takes: a few milliseconds.
    ///
    /// # Errors
    /// One line that says what to do, see [`SqliteOpenError`].
    pub fn open(path: impl AsRef<Path>, settings: SqliteSettings) -> Result<Self, SqliteOpenError> {
        let path = path.as_ref().to_owned();
        let writer = vec![open::writer(&path, &settings)?];
        let readers = (0..settings.readers.max(1)).map(|_| open::reader(&path, &settings));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;
        let pool = |name, connections, waiting_max| {
            Pool::start(name, connections, waiting_max).map_err(SqliteOpenError::Threads)
        };
        let inner = Inner {
            readers: pool("kronika-read-query", readers, settings.queries_waiting_max)?,
            writer: pool("kronika-read-write", writer, settings.batches_waiting_max)?,
            closing: Arc::default(),
            tables: Mutex::default(),
            path,
            settings,
            #[cfg(feature = "planted-faults")]
            commits: std::sync::atomic::AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Ends the queries that run, finishes the batches that were taken on, and closes the file. Blocks until
    /// then. Everything is refused from now on.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Runs a job on the writing thread.
    pub(crate) async fn write<T: Send + 'static, E: From<StoreFault> + Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        match self.inner.writer.run(job).await {
            Ok(result) => result,
            Err(Refused::Overloaded) => {
                let what = "too many batches wait for the writing thread".to_owned();
                Err(StoreFault::Unavailable(what).into())
            }
            Err(Refused::Closed) => Err(StoreFault::Closed.into()),
            Err(Refused::Panicked) => {
                Err(StoreFault::Refused("the writing thread panicked".to_owned()).into())
            }
        }
    }

    fn table(&self, id: &ReadModelId) -> Result<Arc<Table>, StoreFault> {
        let tables = self.inner.tables.lock().expect("nothing panics under it");
        let found = tables.get(id).cloned();
        found.ok_or_else(|| StoreFault::Refused(format!("{id} was not opened")))
    }
}

impl Inner {
    fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl ReadModelStore for SqliteReadModels {
    async fn open(
        &self,
        spec: ReadModelSpec,
        takeover: Takeover,
    ) -> Result<(ReadModelId, Checkpoint), OpenReadModelError> {
        spec.check()?;
        // More than one run of a generation stands side by side only while one is built anew.
        let id = ReadModelId { name: spec.name.clone(), generation: spec.generation, run: 1 };
        let table = Arc::new(Table::new(&spec, &id));
        let checkpoint = {
            let (id, table) = (id.clone(), table.clone());
            self.write(move |connection| {
                transact(connection, |transaction| {
                    let fresh = table.prepare(transaction, &id)?;
                    Ok::<_, OpenReadModelError>(checkpoints::take_over(
                        transaction,
                        &id,
                        fresh,
                        &takeover,
                    )?)
                })
            })
            .await?
        };
        self.inner.tables.lock().expect("nothing panics under it").insert(id.clone(), table);
        Ok((id, checkpoint))
    }

    async fn load(
        &self,
        read_model: &ReadModelId,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
        let table = self.table(read_model)?;
        // The writing connection has the pages at hand that it wrote last; one that reads would load them anew.
        self.write(move |connection| {
            // One transaction, or SQLite locks the file for each row anew.
            let transaction = connection.transaction().map_err(|error| fault(&error))?;
            let rows = rows::load(&transaction, &table, &keys)?;
            transaction.finish().map_err(|error| fault(&error))?;
            Ok(rows)
        })
        .await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        let table = self.table(&commit.read_model)?;
        #[cfg(feature = "planted-faults")]
        if let Some(fault) = self.planted() {
            return self.write(move |connection| fault.commit(connection, &table, &commit)).await;
        }
        self.write(move |connection| {
            transact(connection, |transaction| {
                let Commit { read_model, partition, expected, next, upserts, deletes } = &*commit;
                checkpoints::advance(transaction, read_model, *partition, expected, next)?;
                Ok(rows::write(transaction, &table, upserts, deletes)?)
            })
        })
        .await
    }
}

/// Runs a job in a transaction that commits if the job succeeds, and else leaves nothing.
pub(crate) fn transact<T, E: From<StoreFault>>(
    connection: &mut Connection,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| fault(&error))?;
    let result = job(&transaction)?;
    transaction.commit().map_err(|error| fault(&error))?;
    Ok(result)
}

impl fmt::Debug for SqliteReadModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReadModels").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

#[cfg(feature = "planted-faults")]
mod planted {
    use super::*;

    /// A commit in which something goes wrong.
    pub(super) struct Fault {
        outside: bool,
        fails: bool,
    }

    impl SqliteReadModels {
        pub(super) fn planted(&self) -> Option<Fault> {
            let planted = &self.inner.settings.planted;
            let number = self.inner.commits.fetch_add(1, Ordering::Relaxed) + 1;
            let fails = planted.fails_before_checkpoint == Some(number);
            let outside = planted.checkpoint_outside_transaction;
            (fails || outside).then_some(Fault { outside, fails })
        }
    }

    impl Fault {
        pub(super) fn commit(
            &self,
            connection: &mut Connection,
            table: &Table,
            commit: &Commit,
        ) -> Result<(), CommitError> {
            let Commit { read_model, partition, expected, next, upserts, deletes } = commit;
            let rows = |transaction: &Transaction<'_>| -> Result<(), CommitError> {
                Ok(rows::write(transaction, table, upserts, deletes)?)
            };
            let checkpoint = |transaction: &Transaction<'_>| match self.fails {
                true => Err(StoreFault::Unavailable("a planted failure".into()).into()),
                false => checkpoints::advance(transaction, read_model, *partition, expected, next),
            };
            if self.outside {
                transact(connection, rows)?;
                transact(connection, checkpoint)
            } else {
                transact(connection, |transaction| {
                    rows(transaction)?;
                    checkpoint(transaction)
                })
            }
        }
    }
}
