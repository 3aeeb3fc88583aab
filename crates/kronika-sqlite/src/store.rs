//! The read models of a service in one SQLite file.

mod contract;
#[cfg(feature = "planted-faults")]
mod planted;

use crate::{
    error::{SqliteOpenError, fault},
    open,
    opening::Kept,
    pool::{Pool, Refused, Turn},
    settings::SqliteSettings,
};
use kronika_core::{Incarnation, ProjectionName, ReadModelId, Stage, StoreFault};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

/// The read models of a service in one SQLite file: plain tables, of which those of the live read models are
/// shown under their plain names. Cheap to clone.
///
/// One thread writes, in the order of the calls, but what is not live behind what is. Queries run on threads and connections of their own, which
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
    opened: Mutex<HashMap<ReadModelId, Opened>>,
    #[cfg(feature = "planted-faults")]
    commits: std::sync::atomic::AtomicU64,
}

/// A read model that was opened through this handle or a clone of it.
struct Opened {
    kept: Arc<Kept>,
    is_live: bool,
    /// The history of the journal that it follows, whatever history it has seen.
    present: Incarnation,
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
            opened: Mutex::default(),
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
        turn: Turn,
        job: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        match self.inner.writer.run_in_turn(turn, job).await {
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

    /// The tables of a read model that was opened, and when it is its turn.
    pub(crate) fn opened(&self, id: &ReadModelId) -> Result<(Arc<Kept>, Turn), StoreFault> {
        let opened = self.inner.opened();
        let found = opened.get(id);
        let found = found
            .ok_or_else(|| StoreFault::Refused(format!("{id} was not opened, or was dropped")))?;
        let turn = if found.is_live { Turn::Next } else { Turn::Behind };
        Ok((found.kept.clone(), turn))
    }

    /// Notes that a read model was opened, of a journal with the present history.
    pub(crate) fn note_opened(
        &self,
        id: ReadModelId,
        kept: Arc<Kept>,
        stage: Stage,
        present: Incarnation,
    ) {
        let opened = Opened { kept, is_live: stage == Stage::Live, present };
        self.inner.opened().insert(id, opened);
    }

    fn present(&self, id: &ReadModelId) -> Option<Incarnation> {
        self.inner.opened().get(id).map(|opened| opened.present)
    }

    fn note_live(&self, live: &ReadModelId) {
        let mut opened = self.inner.opened();
        let of_name = |name: &ProjectionName| *name == live.name;
        opened.iter_mut().filter(|(id, _)| of_name(&id.name)).for_each(|(id, opened)| {
            opened.is_live = id == live;
        });
    }
}

impl Inner {
    fn opened(&self) -> MutexGuard<'_, HashMap<ReadModelId, Opened>> {
        self.opened.lock().expect("nothing panics under it")
    }

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

/// Runs a job that sees one state and changes nothing.
pub(crate) fn read<T>(
    connection: &mut Connection,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreFault>,
) -> Result<T, StoreFault> {
    let transaction = connection.transaction().map_err(|error| fault(&error))?;
    let result = job(&transaction)?;
    transaction.finish().map_err(|error| fault(&error))?;
    Ok(result)
}

impl fmt::Debug for SqliteReadModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReadModels").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
