//! The file of snapshots: a redb database, made when the first snapshot is stored, checked whenever it is
//! opened, and set aside and begun anew when it is damaged.
//!
//! Everything here blocks: only the store's own threads call it.

use super::value;
use kronika_core::{Snapshot, SnapshotError, StreamId};
use redb::{Builder, Database, Durability, Error, ReadableDatabase, TableDefinition, TableError};
use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Name of a stream, and its snapshot as `value` writes it.
const SNAPSHOTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("snapshots");

/// After a failure of the disk the file is left alone for so long.
const REST: Duration = Duration::from_secs(10);
/// An opening that takes longer is not waited for.
const OPENING: Duration = Duration::from_millis(500);

pub(super) struct SnapshotDatabase {
    path: PathBuf,
    cache_bytes: usize,
    state: Mutex<State>,
    /// Since when it is being opened.
    opening: Mutex<Option<Instant>>,
    /// Whether opening it is of no use any more.
    closing: Arc<AtomicBool>,
}

enum State {
    Closed,
    Open(Arc<Database>),
    /// The disk failed: not before then.
    Resting(Instant, String),
}

/// What went wrong with the database.
enum Trouble {
    /// The file is not what was written.
    Damaged(String),
    /// The disk, or whoever else holds the file.
    Failed(String),
}

type Tried<T> = Result<T, Trouble>;

impl SnapshotDatabase {
    pub fn new(path: PathBuf, cache_bytes: usize) -> Self {
        let (state, opening) = (Mutex::new(State::Closed), Mutex::new(None));
        Self { path, cache_bytes, state, opening, closing: Arc::default() }
    }

    /// Whether it takes too long to open to be waited for: all of it is checked.
    pub fn is_opening(&self) -> bool {
        let opening = *self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        opening.is_some_and(|since| since.elapsed() > OPENING)
    }

    pub fn load(&self, stream: &StreamId) -> Result<Option<Snapshot>, SnapshotError> {
        let Some(database) = self.open(false)? else { return Ok(None) };
        let found = self.guarded(&database, || {
            let transaction = database.begin_read().map_err(trouble)?;
            let table = match transaction.open_table(SNAPSHOTS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table.map_err(trouble)?,
            };
            let bytes = table.get(stream.name().as_bytes()).map_err(trouble)?;
            Ok(bytes.map(|bytes| value::decode(stream, bytes.value())))
        })?;
        found.transpose().map_err(SnapshotError::Damaged)
    }

    /// Stores snapshots, the later ones over the earlier ones. `durable` syncs them and all before them.
    pub fn store(&self, snapshots: &[Snapshot], durable: bool) -> Result<(), SnapshotError> {
        let Some(database) = self.open(!snapshots.is_empty())? else { return Ok(()) };
        self.guarded(&database, || {
            let mut write = database.begin_write().map_err(trouble)?;
            let durability = if durable { Durability::Immediate } else { Durability::None };
            write.set_durability(durability).map_err(trouble)?;
            // Opening after a crash need not walk all trees to find what is free.
            write.set_quick_repair(durable);
            let mut table = write.open_table(SNAPSHOTS).map_err(trouble)?;
            for snapshot in snapshots {
                let value = value::encode(snapshot);
                let name = snapshot.stream.name().as_bytes();
                table.insert(name, value.as_slice()).map_err(trouble)?;
            }
            drop(table);
            write.commit().map_err(trouble)
        })
    }

    /// An opening that is under way ends, as soon as it looks.
    pub fn will_close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Gives the file back.
    pub fn close(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Closed);
        // A damaged one may panic even at that.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(before)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database; `None` where there is no file and none is to be made.
    fn open(&self, create: bool) -> Result<Option<Arc<Database>>, SnapshotError> {
        let mut state = self.state();
        match &*state {
            State::Open(database) => return Ok(Some(database.clone())),
            State::Resting(until, why) if Instant::now() < *until => {
                return Err(SnapshotError::Unavailable(why.clone()));
            }
            State::Resting(..) | State::Closed => {}
        }
        if !create && !self.path.exists() {
            return Ok(None);
        }
        let opened = self.opened().or_else(|trouble| match trouble {
            Trouble::Damaged(why) => {
                self.set_aside(&why)?;
                if create { self.opened() } else { Err(Trouble::Damaged(why)) }
            }
            failed => Err(failed),
        });
        match opened {
            Ok(database) => {
                let database = Arc::new(database);
                *state = State::Open(database.clone());
                Ok(Some(database))
            }
            // It is out of the way; there is none now.
            Err(Trouble::Damaged(_)) if !create => Ok(None),
            Err(Trouble::Damaged(why) | Trouble::Failed(why)) => {
                *state = State::Resting(Instant::now() + REST, why.clone());
                Err(SnapshotError::Unavailable(why))
            }
        }
    }

    fn opened(&self) -> Tried<Database> {
        let since = |since| *self.opening.lock().unwrap_or_else(PoisonError::into_inner) = since;
        since(Some(Instant::now()));
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes).set_check_integrity_on_open(true);
        let closing = self.closing.clone();
        builder.set_repair_callback(move |repair| {
            if closing.load(Ordering::Relaxed) {
                repair.abort();
            }
        });
        let opened = catch_unwind(AssertUnwindSafe(|| builder.create(&self.path)));
        since(None);
        match opened {
            Ok(Ok(database)) => Ok(database),
            Ok(Err(error)) => Err(trouble(error)),
            Err(_) => Err(Trouble::Damaged("reading it panicked".to_owned())),
        }
    }

    /// Runs something on the open database; sees to the file if that fails.
    fn guarded<T>(
        &self,
        database: &Arc<Database>,
        run: impl FnOnce() -> Tried<T>,
    ) -> Result<T, SnapshotError> {
        let tried = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(Trouble::Damaged("using it panicked".to_owned())));
        tried.map_err(|trouble| {
            let (Trouble::Damaged(why) | Trouble::Failed(why)) = &trouble;
            let mut state = self.state();
            // The other thread may have seen to it already.
            if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, database)) {
                let damaged = matches!(trouble, Trouble::Damaged(_));
                *state = match damaged && self.set_aside(why).is_ok() {
                    true => State::Closed,
                    false => State::Resting(Instant::now() + REST, why.clone()),
                };
            }
            SnapshotError::Unavailable(why.clone())
        })
    }

    /// Moves a damaged file out of the way, over the one before it.
    fn set_aside(&self, why: &str) -> Tried<()> {
        let path = self.path.display();
        let aside = aside(&self.path);
        match fs::rename(&self.path, &aside) {
            Ok(()) => {
                tracing::warn!(%path, why, aside = %aside.display(), "the file of snapshots is damaged; a new one is begun");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%path, why, %error, "the file of snapshots is damaged and cannot be moved; there are no snapshots until it is removed");
                Err(Trouble::Failed(format!("{why}; and it cannot be moved: {error}")))
            }
        }
    }
}

/// Where a damaged file goes.
pub(super) fn aside(path: &Path) -> PathBuf {
    path.with_extension("damaged")
}

fn trouble(error: impl Into<Error>) -> Trouble {
    let error = error.into();
    let damaged = match &error {
        Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        Error::Corrupted(_)
        | Error::LockPoisoned(_)
        | Error::UpgradeRequired(_)
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    };
    let why = error.to_string();
    if damaged { Trouble::Damaged(why) } else { Trouble::Failed(why) }
}
