//! A session on plain tables: queries, transactions and migrations without blocking an asynchronous worker.
//!
//! It knows nothing of events. Its tables have a file of their own, because the two kinds of data want
//! opposite things: read models may be lost and are built anew, so their file is not synced at each commit and
//! whoever is in doubt deletes it; plain tables follow from nothing, so theirs is synced before a transaction
//! is acknowledged, and nobody may delete it.

mod end;
mod error;
mod gate;
mod migrate;
mod migration;
mod open;
mod query;
mod settings;
mod stats;
mod transaction;

pub use error::{MigrationError, SessionError, SessionOpenError};
pub use migrate::Migrated;
pub use migration::Migration;
pub use settings::SessionSettings;
pub use stats::SessionStats;

use crate::pool::{Pool, Refused};
use end::End;
use gate::Gate;
use rusqlite::Connection;
use stats::Counts;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Plain tables in one SQLite file of their own, for a service or a part of one that has no aggregates. Cheap
/// to clone.
///
/// Queries run on a few threads, each on one consistent state; transactions run on one thread, in the order of
/// the calls, all or nothing. All are bounded in number and in time: what does not fit a queue is refused as
/// [`SessionError::Overloaded`], what takes too long is interrupted and rolled back, and so is what nobody
/// waits for any more, because its future was dropped.
///
/// What [`SqliteSession::transaction`] has acknowledged is on the disk (`synchronous=FULL`), and every query
/// that begins after it sees it. Several processes may have the same file open; they take turns in writing.
///
/// The file is not derived from the journal: it needs a backup of its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use kronika_sqlite::{Migration, SessionError, SessionSettings, SqliteSession};
///
/// let path = directory.path().join("tables.sqlite");
/// let session = SqliteSession::open(path, SessionSettings::default())?;
/// let guests = "CREATE TABLE guests (name TEXT PRIMARY KEY, visits INTEGER NOT NULL) STRICT";
/// session.migrate(&[Migration::new(1, "guests", guests)]).await?;
///
/// session
///     .transaction::<_, SessionError>(|transaction| {
///         transaction.execute("INSERT INTO guests VALUES (?1, 0)", ["ada"])?;
///         transaction.execute("UPDATE guests SET visits = visits + 1", [])?;
///         Ok(())
///     })
///     .await?;
/// let visits: u64 = session
///     .query(|connection| {
///         connection.query_row("SELECT visits FROM guests WHERE name = 'ada'", [], |row| row.get(0))
///     })
///     .await?;
/// assert_eq!(visits, 1);
/// # Ok(())
/// # }
/// ```
///
/// The idea is Lagom's `CassandraSession` and `JdbcSession`.
#[derive(Clone)]
pub struct SqliteSession {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    settings: SessionSettings,
    /// Before the writer: the last connection to close moves the write-ahead log into the file.
    readers: Pool,
    writer: Pool,
    gate: Arc<Gate>,
    queries: Arc<Counts>,
    transactions: Arc<Counts>,
}

impl SqliteSession {
    /// Opens the file, or makes it; its directory must exist. Blocks for as long as that takes: a few
    /// milliseconds, or while another process holds the file, at most [`SessionSettings::busy_timeout`].
    ///
    /// # Errors
    /// One line that says what to do, see [`SessionOpenError`].
    pub fn open(
        path: impl AsRef<Path>,
        settings: SessionSettings,
    ) -> Result<Self, SessionOpenError> {
        let path = path.as_ref().to_owned();
        let mut writer = open::writer(&path, &settings)?;
        let gate = Gate::on(&mut writer).map_err(|error| SessionOpenError::of(&path, error))?;
        let readers = (0..settings.readers.max(1)).map(|_| open::reader(&path, &settings));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;
        let pool = |name, connections, waiting_max| {
            Pool::start(name, connections, waiting_max).map_err(SessionOpenError::Threads)
        };
        let inner = Inner {
            readers: pool("kronika-table-query", readers, settings.queries_waiting_max)?,
            writer: pool("kronika-table-write", vec![writer], settings.transactions_waiting_max)?,
            gate,
            queries: Arc::default(),
            transactions: Arc::default(),
            path,
            settings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What was done since it was opened, and what waits now. Costs next to nothing.
    pub fn stats(&self) -> SessionStats {
        SessionStats::of(&self.inner.queries, &self.inner.transactions)
    }

    /// Takes nothing more on, finishes what was taken on, and closes the file. Blocks until then, which the
    /// time limits bound as far as the time is spent in SQLite. Everything is refused from now on.
    ///
    /// Dropping the last clone does the same.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Runs a job on a thread that reads.
    async fn read<T: Send + 'static, E: From<SessionError> + Send + 'static>(
        &self,
        time: Duration,
        job: impl FnOnce(&mut Connection, &End) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        run(&self.inner.readers, &self.inner.queries, time, job).await
    }

    /// Runs a job on the thread that writes.
    async fn write<T: Send + 'static, E: From<SessionError> + Send + 'static>(
        &self,
        time: Duration,
        job: impl FnOnce(&mut Connection, &End) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        run(&self.inner.writer, &self.inner.transactions, time, job).await
    }
}

/// Runs a job on one of the pool's threads, with a clock that SQLite looks at.
async fn run<T: Send + 'static, E: From<SessionError> + Send + 'static>(
    pool: &Pool,
    counts: &Arc<Counts>,
    time: Duration,
    job: impl FnOnce(&mut Connection, &End) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let (end, _waiting) = End::within(time);
    let waits = counts.waits();
    let job = {
        let counts = counts.clone();
        move |connection: &mut Connection| {
            drop(waits);
            counts.began();
            let result =
                end.watch(connection).map_err(E::from).and_then(|()| job(connection, &end));
            if end.has_cut() {
                counts.interrupted();
            }
            result
        }
    };
    match pool.run(job).await {
        Ok(result) => result,
        Err(refused) => {
            counts.refused();
            Err(E::from(match refused {
                Refused::Overloaded => SessionError::Overloaded,
                Refused::Closed => SessionError::Closed,
                Refused::Panicked => SessionError::Panicked("outside its code".to_owned()),
            }))
        }
    }
}

impl Inner {
    fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SqliteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSession").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
