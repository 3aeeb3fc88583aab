//! Looking at the file from beside the service that has it open, or from where nobody has: for tools.

use crate::{
    acts,
    error::{SqliteOpenError, fault},
    open::{self, Access},
    parked, stages,
    store::SqliteReadModels,
};
use kronika_core::{ActRecord, KeyText, Letter, ParkedKey, ReadModel, ReadModelId, StoreFault};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// How often a file is read again that a service began to write meanwhile.
const LOOKS_MAX: usize = 10;

/// Sees the read models of a file, and changes nothing: no file is made beside it, no lock keeps its service
/// from writing. Each call sees what stands then, and blocks for as long as that takes: a few milliseconds.
#[derive(Debug, Clone)]
pub struct SqliteLook {
    path: PathBuf,
}

impl SqliteReadModels {
    /// Opens a file for looking only, also one that a running service writes.
    ///
    /// # Errors
    /// If it is not there, or not ours; also one of an older schema, which a service has to bring to the
    /// present one.
    pub fn look(path: impl AsRef<Path>) -> Result<SqliteLook, SqliteOpenError> {
        let look = SqliteLook { path: path.as_ref().to_owned() };
        open::look(&look.path)?;
        Ok(look)
    }
}

impl SqliteLook {
    /// All read models, in order of name, generation and run.
    pub fn read_models(&self) -> Result<Vec<ReadModel>, StoreFault> {
        self.read(|connection| stages::list(connection, None))
    }

    /// Parked keys after a key, in order, at most `limit`.
    pub fn parked(
        &self,
        read_model: &ReadModelId,
        after: Option<&KeyText>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreFault> {
        self.read(|connection| parked::list(connection, read_model, after, limit))
    }

    /// The letters of a parked key in the order in which they came, `skip` of them left out, at most `limit`.
    pub fn letters(
        &self,
        read_model: &ReadModelId,
        key: &KeyText,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreFault> {
        self.read(|connection| parked::letters(connection, read_model, key, skip, limit))
    }

    /// The newest acts, newest first, at most `limit`.
    pub fn acts(&self, limit: usize) -> Result<Vec<ActRecord>, StoreFault> {
        self.read(|connection| acts::list(connection, limit))
    }

    /// Opened anew each time: whether somebody writes the file may have changed, and with it how to read it.
    fn read<T>(
        &self,
        read: impl Fn(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        for _ in 0..LOOKS_MAX {
            let unavailable = |error: SqliteOpenError| StoreFault::Unavailable(error.to_string());
            let (connection, access) = open::look(&self.path).map_err(unavailable)?;
            let sql = |error| fault(&error);
            let transaction = connection.unchecked_transaction().map_err(sql)?;
            let found = read(&transaction);
            // Without a lock, what a service has moved into the file since may have been read by half.
            if access != Access::Read && access != open::access_beside(&self.path) {
                continue;
            }
            return found;
        }
        let what = "a service opens and closes them all the time".to_owned();
        Err(StoreFault::Unavailable(what))
    }
}
