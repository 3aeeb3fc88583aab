//! What can be wrong with the file, as one clear line, and SQLite's errors by what to do about them.

use kronika_core::{CodecError, SpecError, StoreFault};
use rusqlite::ErrorCode;
use std::{path::PathBuf, time::Duration};

/// Why the read models cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteOpenError {
    /// Another process holds it.
    #[error("{} is locked by another process: stop that one first", .0.display())]
    Locked(PathBuf),
    /// It is some other file, or damaged in its first page.
    #[error("{} is not a SQLite database: move it away, and the read models are built anew", .0.display())]
    NotADatabase(PathBuf),
    /// It is a database, but holds no read models of Kronika.
    #[error("{} is a SQLite database of another program: name another file", .0.display())]
    Foreign(PathBuf),
    /// The file or its directory cannot be written.
    #[error("{} can only be read: give this process the right to write it", .0.display())]
    ReadOnly(PathBuf),
    /// A newer build wrote it.
    #[error(
        "{} has schema {found}, this build knows up to {known}: use the newer build, or move the file \
         away, and the read models are built anew",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema number.
        found: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// An older build wrote it, and it is only to be looked at.
    #[error(
        "{} has schema {found}, this build reads {known}: start its service once with this build, \
         which brings it there",
        path.display()
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its schema number.
        found: u32,
        /// The one that this build reads.
        known: u32,
    },
    /// The file system cannot keep a write-ahead log.
    #[error("{} is on a file system without shared memory: use a local one", .0.display())]
    NoWal(PathBuf),
    /// No file can be made there, or something else that SQLite says.
    #[error("{} cannot be opened: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// No thread can be started.
    #[error("the threads of the read models cannot be started: {0}")]
    Threads(#[source] std::io::Error),
}

impl SqliteOpenError {
    pub(crate) fn of(path: &std::path::Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(path),
            Some(ErrorCode::NotADatabase) => Self::NotADatabase(path),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(path),
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Try again later: too many queries wait.
    #[error("too many queries wait for the read models")]
    Overloaded,
    /// Try again later: the file is locked by another process.
    #[error("the read models cannot be reached now")]
    Unavailable(#[source] rusqlite::Error),
    /// It took longer than it may, waiting included.
    #[error("the query took longer than {0:?}")]
    TookTooLong(Duration),
    /// Ask for fewer.
    #[error("the query has more than {0} rows")]
    TooManyRows(usize),
    /// The query is wrong, or the table is not what it expects.
    #[error("the query failed")]
    Sql(#[source] rusqlite::Error),
    /// The projection's name or columns make no table.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A row does not fit its type.
    #[error("a row of the read model does not fit its type")]
    Shape(#[source] CodecError),
    /// The query's own code panicked.
    #[error("the query panicked: {0}")]
    Panicked(String),
    /// The read models are closed.
    #[error("the read models are closed")]
    Closed,
}

/// SQLite's error while rows or checkpoints are read or written.
pub(crate) fn fault(error: &rusqlite::Error) -> StoreFault {
    use ErrorCode as Code;
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => StoreFault::Full(text),
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => StoreFault::Corrupt(text),
        Some(
            Code::DatabaseBusy
            | Code::DatabaseLocked
            | Code::SystemIoFailure
            | Code::CannotOpen
            | Code::ReadOnly
            | Code::OutOfMemory
            | Code::FileLockingProtocolFailed
            | Code::OperationInterrupted,
        ) => StoreFault::Unavailable(text),
        _ => StoreFault::Refused(text),
    }
}

/// SQLite's error in a statement on a read model's own table: one that the table as it was made would take.
pub(crate) fn fault_of_table(table: &str, error: &rusqlite::Error) -> StoreFault {
    match (fault(error), error) {
        // A bound value beyond SQLite's limits is not the table's fault.
        (refused @ StoreFault::Refused(_), error)
            if error.sqlite_error_code() == Some(ErrorCode::TooBig) =>
        {
            refused
        }
        (StoreFault::Refused(what), _) => StoreFault::Changed { table: table.to_owned(), what },
        (fault, _) => fault,
    }
}
