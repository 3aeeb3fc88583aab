//! The embedded store of snapshots: the newest snapshot of each stream, in one file beside the journal.
//!
//! It is derived data: no commit of the journal waits for it, it is synced now and then only, and a file that is
//! damaged is set aside and begun anew. Whether a snapshot fits the journal is for who loads from it.

mod file;
mod queue;
#[cfg(test)]
mod tests;
mod value;

use crate::lock::DirectoryLock;
use file::SnapshotDatabase;
use kronika_core::{Snapshot, SnapshotError, SnapshotStore, StreamId};
use queue::{Queue, Saved, ToSave};
use std::{
    fmt,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Settings of the embedded store of snapshots.
#[derive(Debug, Clone)]
pub struct SnapshotSettings {
    /// Bytes of the file that are kept in memory; default 4 MiB.
    pub cache_bytes: usize,
    /// Bytes of one encoded state, at most; default 16 MiB.
    pub state_bytes_max: usize,
    /// Bytes of states that may wait to be stored; default 32 MiB. Beyond it the oldest are left out.
    pub queue_bytes: usize,
    /// Snapshots that may wait to be stored; default 4,096.
    pub saves_waiting_max: usize,
    /// Looks for a snapshot that may wait; default 4,096.
    pub loads_waiting_max: usize,
    /// What was stored is synced after so long; default 10 s. A loss of power loses what was not: it costs time
    /// when it is loaded, and nothing else.
    pub sync_after: Duration,
    /// Bytes of states after which it is synced earlier; default 32 MiB. What is replaced is free for reuse only
    /// after a sync.
    pub sync_after_bytes: usize,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 4 << 20,
            state_bytes_max: 16 << 20,
            queue_bytes: 32 << 20,
            saves_waiting_max: 4096,
            loads_waiting_max: 4096,
            sync_after: Duration::from_secs(10),
            sync_after_bytes: 32 << 20,
        }
    }
}

/// The embedded store of snapshots. Clones are handles on one store; the last one waits for what is being
/// stored, and gives the file back.
///
/// ```
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use kronika_log::{DirectoryLock, Snapshots, SnapshotSettings};
/// let lock = std::sync::Arc::new(DirectoryLock::acquire(directory.path())?);
/// let file = directory.path().join("snapshots.redb");
/// let snapshots = Snapshots::open_locked(&file, lock, SnapshotSettings::default())?;
/// assert!(!file.exists(), "it is made when the first snapshot is stored");
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    database: Arc<SnapshotDatabase>,
    state_bytes_max: usize,
    threads: Vec<JoinHandle<()>>,
    /// Given back last: who opens the directory next finds the file closed.
    _lock: Arc<DirectoryLock>,
}

impl Snapshots {
    /// A store in a file of a directory that this process has locked. The file is opened when it is first
    /// needed, by a thread of the store.
    ///
    /// # Errors
    /// If no thread can be started. A file that cannot be opened is no error here: there are no snapshots then.
    pub fn open_locked(
        file: &Path,
        lock: Arc<DirectoryLock>,
        settings: SnapshotSettings,
    ) -> io::Result<Self> {
        let SnapshotSettings { saves_waiting_max, queue_bytes, loads_waiting_max, .. } = settings;
        let queue = Queue::new(saves_waiting_max.max(1), queue_bytes, loads_waiting_max);
        let database = SnapshotDatabase::new(file.to_owned(), settings.cache_bytes);
        let (queue, database) = (Arc::new(queue), Arc::new(database));
        let state_bytes_max = settings.state_bytes_max;
        let storing = Storing::new(queue.clone(), database.clone(), settings);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(run)
        };
        let threads = vec![spawn("kronika-snapshot", Box::new(move || storing.run()))?];
        let mut inner = Inner { queue, database, state_bytes_max, threads, _lock: lock };
        let (queue, database) = (inner.queue.clone(), inner.database.clone());
        // Should this fail, dropping `inner` ends the first one.
        inner
            .threads
            .push(spawn("kronika-snapshot-read", Box::new(move || look(&queue, &database)))?);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until everything that was saved before is durable, or was left out.
    pub async fn sync(&self) -> Result<(), SnapshotError> {
        let synced = self.inner.queue.sync();
        synced.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        self.database.will_close();
        for thread in self.threads.drain(..) {
            // A panic was told to whoever waited, when their answers were dropped.
            let _ = thread.join();
        }
        self.database.close();
    }
}

fn ended() -> SnapshotError {
    SnapshotError::Unavailable("its thread has ended".to_owned())
}

impl SnapshotStore for Snapshots {
    async fn load(&self, stream: &StreamId) -> Result<Option<Snapshot>, SnapshotError> {
        if self.inner.database.is_opening() {
            let why = "its file is large and is still being checked";
            return Err(SnapshotError::Unavailable(why.to_owned()));
        }
        let Some(loaded) = self.inner.queue.load(stream) else {
            return Err(SnapshotError::Unavailable("too many look for one".to_owned()));
        };
        loaded.await.unwrap_or_else(|_| Err(ended()))
    }

    fn save(&self, snapshot: Snapshot) -> impl Future<Output = Saved> + Send + use<> {
        let (bytes, bytes_max) = (snapshot.state.len(), self.inner.state_bytes_max);
        let saved = (bytes <= bytes_max).then(|| self.inner.queue.save(snapshot));
        async move {
            let Some(saved) = saved else {
                return Err(SnapshotError::TooLarge { bytes, bytes_max });
            };
            saved.await.unwrap_or_else(|_| Err(ended()))
        }
    }
}

/// Letting go of a damaged file may panic too: the threads live on.
fn unless_it_panics<T>(run: impl FnOnce() -> Result<T, SnapshotError>) -> Result<T, SnapshotError> {
    let run = catch_unwind(AssertUnwindSafe(run));
    run.unwrap_or_else(|_| Err(SnapshotError::Unavailable("using its file panicked".to_owned())))
}

/// Looks for snapshots until the store is closed.
fn look(queue: &Queue, database: &SnapshotDatabase) {
    while let Some((stream, answer)) = queue.next_to_load() {
        // Whoever has gone needs no look.
        if !answer.is_closed() {
            let _ = answer.send(unless_it_panics(|| database.load(&stream)));
        }
    }
}

/// The thread that stores.
struct Storing {
    queue: Arc<Queue>,
    database: Arc<SnapshotDatabase>,
    settings: SnapshotSettings,
    /// Since when something is not synced, and how many bytes.
    unsynced: Option<(Instant, usize)>,
}

impl Storing {
    fn new(queue: Arc<Queue>, database: Arc<SnapshotDatabase>, settings: SnapshotSettings) -> Self {
        Self { queue, database, settings, unsynced: None }
    }

    fn run(mut self) {
        loop {
            let sync_after = self.settings.sync_after;
            let patience =
                self.unsynced.map(|(since, _)| sync_after.saturating_sub(since.elapsed()));
            match self.queue.next_to_save(patience) {
                ToSave::Some(waiting, syncs) => {
                    let stored = self.store(&waiting.snapshots, !syncs.is_empty());
                    for answer in waiting.answers.into_iter().chain(syncs) {
                        let _ = answer.send(stored.clone()); // whoever waited may have gone
                    }
                }
                ToSave::Nothing => self.sync_if(|since, _| since.elapsed() >= sync_after),
                ToSave::Closed => return self.sync_if(|_, _| true),
            }
        }
    }

    fn store(&mut self, snapshots: &[Snapshot], sync: bool) -> Saved {
        let bytes = snapshots.iter().map(|snapshot| snapshot.state.len()).sum::<usize>();
        let (since, before) = self.unsynced.unwrap_or((Instant::now(), 0));
        let SnapshotSettings { sync_after, sync_after_bytes, .. } = self.settings;
        let unsynced = before + bytes;
        let durable = sync || unsynced >= sync_after_bytes || since.elapsed() >= sync_after;
        let stored = unless_it_panics(|| self.database.store(snapshots, durable));
        // After a failure the file is opened anew, and what was not synced may be gone: it may be.
        self.unsynced = (stored.is_ok() && !durable).then_some((since, unsynced));
        stored
    }

    fn sync_if(&mut self, due: impl Fn(Instant, usize) -> bool) {
        if self.unsynced.is_some_and(|(since, bytes)| due(since, bytes))
            && let Err(error) = self.store(&[], true)
        {
            tracing::debug!(%error, "snapshots were not synced");
        }
    }
}
