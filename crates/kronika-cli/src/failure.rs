//! Why a command could not be done: one line, with what to do about it.

use kronika_core::{ActError, ReadError, StoreFault};
use kronika_log::{OpenError, ToolError};
use kronika_sqlite::SqliteOpenError;
use std::fmt;

/// Why a command could not be done.
pub enum Failure {
    /// A tool says why.
    Tool(ToolError),
    /// What is wrong, and what to do, in words.
    Words(String),
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Self::Tool(error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Tool(error.into())
    }
}

impl From<SqliteOpenError> for Failure {
    fn from(error: SqliteOpenError) -> Self {
        // It says what to do itself, but for what SQLite alone knows.
        let advice = match error {
            SqliteOpenError::Sqlite { .. } => "; see who may read it, and whether it is whole",
            _ => "",
        };
        Self::Words(format!("{error}{advice}"))
    }
}

impl From<StoreFault> for Failure {
    fn from(fault: StoreFault) -> Self {
        let advice = match fault {
            StoreFault::Unavailable(_) => "; try again",
            StoreFault::Full(_) => "; make room",
            StoreFault::Changed { .. } | StoreFault::Corrupt(_) => {
                "; stop the service and move read-models.sqlite away, it is built anew"
            }
            _ => "",
        };
        Self::Words(format!("{fault}{advice}"))
    }
}

impl From<ActError> for Failure {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NotFound(what) => {
                Self::Words(format!("{what}; `kronika projections` tells what there is"))
            }
            ActError::Store(fault) => fault.into(),
            refused => Self::Words(refused.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Words(format!("the journal cannot be read: {error}; `kronika verify` tells more"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(error) => write!(f, "{error}{}", advice(error)),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// What an operator does about it, where the error does not say so itself.
fn advice(error: &ToolError) -> &'static str {
    match error {
        ToolError::NoJournal { .. } => "; name the directory that holds `journal`",
        ToolError::NotReadable { .. } => "; see who may read it",
        ToolError::Ahead { .. } => "; is it the newer one?",
        ToolError::Output(_) => "; what was printed is not complete",
        ToolError::Line { .. } => "; mend the line and import again, what is recorded is left out",
        ToolError::NotTaken(_) => "; import again, what is recorded is left out",
        ToolError::Journal(error) => match error {
            OpenError::InUse { .. } => "; stop it first",
            OpenError::NotADirectory { .. } => "; name a directory",
            OpenError::NotWritable { .. } => "; see who may write there",
            OpenError::Full { .. } => "; make room",
            OpenError::Newer { .. } | OpenError::Unknown { .. } => {
                "; use the release that wrote it"
            }
            OpenError::Damaged(_) => {
                "; `kronika verify` tells all of it, `kronika restore` makes a journal from a backup"
            }
            _ => "",
        },
        _ => "",
    }
}
