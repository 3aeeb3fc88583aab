//! What can go wrong with plain tables, by what to do about it.

use crate::error::QueryError;
use kronika_core::CodecError;
use rusqlite::ErrorCode;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Why the file of plain tables cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionOpenError {
    /// Another process holds it.
    #[error("{} is locked by another process: stop that one first", .0.display())]
    Locked(PathBuf),
    /// It is some other file, or damaged in its first page.
    #[error("{} is not a SQLite database: name another file, or restore it from a backup", .0.display())]
    NotADatabase(PathBuf),
    /// It is a database, but was not made by a session.
    #[error("{} is a SQLite database of another program: name another file", .0.display())]
    Foreign(PathBuf),
    /// Read models may be deleted and built anew; plain tables may not.
    #[error("{} holds read models: name another file, plain tables need one of their own", .0.display())]
    ReadModels(PathBuf),
    /// The file or its directory cannot be written.
    #[error("{} can only be read: give this process the right to write it", .0.display())]
    ReadOnly(PathBuf),
    /// A newer build wrote it.
    #[error("{} has schema {found}, this build knows up to {known}: use the newer build", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema number.
        found: u32,
        /// The newest that this build knows.
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
    #[error("the threads of the session cannot be started: {0}")]
    Threads(#[source] std::io::Error),
}

impl SessionOpenError {
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(path),
            Some(ErrorCode::NotADatabase) => Self::NotADatabase(path),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(path),
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Why a query has no answer, or a transaction changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Try again later: too many wait.
    #[error("too many wait for the tables: try again later")]
    Overloaded,
    /// Try again later: the file is locked by another process, or cannot be read or written now.
    #[error("the tables cannot be reached now: try again later")]
    Unavailable(#[source] rusqlite::Error),
    /// Make room, then try again.
    #[error("the tables have no space left: make room, then try again")]
    Full(#[source] rusqlite::Error),
    /// It took longer than it may, waiting included.
    #[error("it took longer than {0:?}, and was rolled back")]
    TookTooLong(Duration),
    /// Ask for fewer.
    #[error("the query has more than {0} rows: ask for fewer")]
    TooManyRows(usize),
    /// A statement is wrong, or breaks a rule of a table.
    #[error("a statement failed")]
    Sql(#[source] rusqlite::Error),
    /// A statement does what no transaction's code may.
    #[error(
        "a statement begins or ends a transaction, attaches a file, changes a setting, or touches a name that \
         begins with kronika_: leave it out"
    )]
    Forbidden(#[source] rusqlite::Error),
    /// A row does not fit its type.
    #[error("a row does not fit its type")]
    Shape(#[source] CodecError),
    /// SQLite rolled the transaction back after an error that its code passed over.
    #[error("the transaction was rolled back after an error in it, which its code passed over")]
    RolledBack,
    /// The disk failed while the transaction was committed: read, to see whether it was.
    #[error(
        "the disk failed in the commit, so its outcome is unknown: read what it should have written"
    )]
    UnknownOutcome(#[source] rusqlite::Error),
    /// Restore it from a backup.
    #[error("the file of the tables is damaged: restore it from a backup")]
    Corrupt(#[source] rusqlite::Error),
    /// The code panicked.
    #[error("the code of the query or transaction panicked: {0}")]
    Panicked(String),
    /// The session is closed.
    #[error("the session is closed")]
    Closed,
}

impl From<rusqlite::Error> for SessionError {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full(error),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt(error),
            Some(Code::AuthorizationForStatementDenied) => Self::Forbidden(error),
            Some(
                Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::SystemIoFailure
                | Code::CannotOpen
                | Code::OutOfMemory
                | Code::FileLockingProtocolFailed,
            ) => Self::Unavailable(error),
            _ => Self::Sql(error),
        }
    }
}

impl SessionError {
    /// What failed in a commit. The log may have it although its sync failed: whoever opens the file next then
    /// finds it there.
    pub(super) fn of_commit(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) => Self::UnknownOutcome(error),
            _ => error.into(),
        }
    }
}

impl From<QueryError> for SessionError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Overloaded => Self::Overloaded,
            QueryError::Unavailable(error) | QueryError::Sql(error) => error.into(),
            QueryError::TookTooLong(time) => Self::TookTooLong(time),
            QueryError::TooManyRows(rows) => Self::TooManyRows(rows),
            QueryError::Spec(error) => Self::Shape(CodecError::shape(error)),
            QueryError::Shape(error) => Self::Shape(error),
            QueryError::Panicked(why) => Self::Panicked(why),
            QueryError::Closed => Self::Closed,
        }
    }
}

/// Why the tables were not brought to their newest shape.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The numbers of the given steps are not 1, 2, 3 and so on.
    #[error(
        "migration {number} \"{name}\" stands where {expected} is expected: number them 1, 2, 3 and so on, \
         without a gap"
    )]
    Gap {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// The number that its place has.
        expected: u32,
    },
    /// A step that was applied is not given any more.
    #[error("migration {number} \"{name}\" was applied, and is missing here: put it back")]
    Missing {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
    },
    /// A step's SQL is not what was applied.
    #[error(
        "migration {number} \"{name}\" was changed after it was applied: put it back as it was, and write the \
         change as a new migration"
    )]
    Changed {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
    },
    /// Another step was applied under its number.
    #[error(
        "migration {number} is \"{name}\" here, but \"{applied}\" was applied under that number: give the new \
         one the next free number"
    )]
    Renamed {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// The name of the one that was applied.
        applied: String,
    },
    /// The file has steps that this build does not know.
    #[error(
        "{} has migrations up to {newest}, this build knows up to {known} and not {number} \"{name}\": use the \
         newer build",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its newest step.
        newest: u32,
        /// The first that this build does not know.
        number: u32,
        /// Its name.
        name: String,
        /// The newest step that is given.
        known: u32,
    },
    /// The record of what was applied was changed by hand.
    #[error(
        "{} has no record of migration {number}, but of later ones: restore the table kronika_migrations",
        path.display()
    )]
    Hole {
        /// The file.
        path: PathBuf,
        /// The missing number.
        number: u32,
    },
    /// A statement of a step failed. Nothing of the step was applied.
    #[error(
        "migration {number} \"{name}\" failed, and nothing of it was applied: {source}, in: {statement}"
    )]
    Failed {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// The statement, shortened.
        statement: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A statement of a step does what none may. Nothing of the step was applied.
    #[error(
        "migration {number} \"{name}\" may not begin or end a transaction, attach a file, change a setting, or \
         touch a name that begins with kronika_: leave out: {statement}"
    )]
    Forbidden {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// The statement, shortened.
        statement: String,
    },
    /// Rows refer to what is not there once the step is applied. Nothing of it was applied.
    #[error(
        "migration {number} \"{name}\" would leave rows of {table} that refer to nothing, and nothing of it was \
         applied: mend them in it"
    )]
    ForeignKeys {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// The table whose rows refer to nothing.
        table: String,
    },
    /// The tables cannot be reached, are full, closed, and so on.
    #[error(transparent)]
    Session(#[from] SessionError),
}
