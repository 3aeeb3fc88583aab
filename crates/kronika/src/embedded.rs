//! The embedded store: the journal and the read models of one data directory.

use kronika_core::{SharedJournal, SharedReadModelStore};
use kronika_log::{DirectoryLock, Log, OpenError, Settings};
use kronika_runtime::Store;
use kronika_sqlite::{SqliteOpenError, SqliteReadModels, SqliteSettings};
use std::{path::Path, sync::Arc};

/// A data directory of this process: `journal/`, `read-models.sqlite`, and `lock`, which keeps others out.
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
        let log = Log::open_locked(&directory.join("journal"), lock, journal)?;
        let sqlite = SqliteReadModels::open(directory.join("read-models.sqlite"), read_models)?;
        Ok(Self { log, sqlite })
    }

    /// The journal itself, for its figures and notes.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The read models, for queries.
    pub fn sqlite(&self) -> &SqliteReadModels {
        &self.sqlite
    }
}

impl Store for Embedded {
    fn journal(&self) -> SharedJournal {
        Arc::new(self.log.clone())
    }

    fn read_models(&self) -> Option<SharedReadModelStore> {
        Some(Arc::new(self.sqlite.clone()))
    }
}
