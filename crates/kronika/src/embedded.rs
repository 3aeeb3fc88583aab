//! The embedded store: the journal, the read models and the snapshots of one data directory.

use kronika_core::{SharedJournal, SharedReadModelStore, SharedSnapshotStore};
use kronika_log::{DirectoryLock, Log, OpenError, Settings, SnapshotSettings, Snapshots};
use kronika_runtime::{MakeScratch, Store};
use kronika_sqlite::{SqliteOpenError, SqliteReadModels, SqliteSettings};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A data directory of this process: `journal/`, `read-models.sqlite`, `snapshots.redb`, `lock`, which keeps
/// others out, and `admin.sock`, where the service serves it. The snapshots are derived: their file may be removed while nothing runs.
///
/// ```
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = kronika::Embedded::open(directory.path())?;
/// let builder = kronika::Kronika::builder().store(store);
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Embedded {
    log: Log,
    sqlite: SqliteReadModels,
    snapshots: Snapshots,
    admin_socket: PathBuf,
}

/// Why a data directory cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The directory or the journal.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The read models.
    #[error(transparent)]
    ReadModels(#[from] SqliteOpenError),
    /// No thread for the snapshots.
    #[error("no thread can be started for the snapshots: {0}")]
    Snapshots(#[source] io::Error),
}

impl Embedded {
    /// Opens a data directory, which is made if it is absent, with default settings.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        Self::open_with(directory, Settings::default(), SqliteSettings::default())
    }

    /// Opens a data directory with settings.
    pub fn open_with(
        directory: impl AsRef<Path>,
        journal: Settings,
        read_models: SqliteSettings,
    ) -> Result<Self, EmbeddedError> {
        let directory = directory.as_ref();
        let lock = Arc::new(DirectoryLock::acquire(directory)?);
        let log = Log::open_locked(&directory.join("journal"), lock.clone(), journal)?;
        let sqlite = SqliteReadModels::open(directory.join("read-models.sqlite"), read_models)?;
        let (file, settings) = (directory.join("snapshots.redb"), SnapshotSettings::default());
        let snapshots = Snapshots::open_locked(&file, lock, settings);
        let snapshots = snapshots.map_err(EmbeddedError::Snapshots)?;
        Ok(Self { log, sqlite, snapshots, admin_socket: directory.join("admin.sock") })
    }

    /// The journal itself, for its figures and notes.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The read models, for queries.
    pub fn sqlite(&self) -> &SqliteReadModels {
        &self.sqlite
    }

    /// Where tools look for the operator's API of the process that has the directory open: `kronika::AdminSocket`
    /// serves it there.
    pub fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// The snapshots of aggregates.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }
}

impl Store for Embedded {
    fn journal(&self) -> SharedJournal {
        Arc::new(self.log.clone())
    }

    fn read_models(&self) -> Option<SharedReadModelStore> {
        Some(Arc::new(self.sqlite.clone()))
    }

    fn scratch(&self) -> Option<MakeScratch> {
        Some(Arc::new(|path| Box::pin(scratch(path))))
    }

    fn snapshots(&self) -> Option<SharedSnapshotStore> {
        Some(Arc::new(self.snapshots.clone()))
    }
}

/// A file for a replay: never one that is there already.
async fn scratch(path: PathBuf) -> Result<SharedReadModelStore, String> {
    let open = move || {
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        made.map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        let opened = SqliteReadModels::open(&path, SqliteSettings::default());
        let opened = opened.map_err(|error| error.to_string())?;
        Ok(Arc::new(opened) as SharedReadModelStore)
    };
    let opened = tokio::task::spawn_blocking(open).await;
    opened.unwrap_or_else(|error| Err(format!("the scratch file cannot be opened: {error}")))
}
