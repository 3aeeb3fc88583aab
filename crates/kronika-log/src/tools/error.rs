//! Why a tool could not do its work: one kind for each thing that an operator would do, one clear line each.

use crate::error::{Damage, OpenError};
use kronika_core::{Incarnation, Position};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a tool could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// There is no journal: the path is wrong.
    #[error("there is no journal in {}", .path.display())]
    NoJournal {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// Permission to read is missing.
    #[error("{} cannot be read: {source}", .path.display())]
    NotReadable {
        /// What was to be read.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The process that has the journal open is still opening it: try again.
    #[error(
        "the process that has {} open has not published yet how far it is durable; try again",
        .path.display()
    )]
    NotPublished {
        /// The journal.
        path: PathBuf,
    },
    /// The journal is damaged, of a later release, on a full disk, in use, or its disk failed.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// What is to be made is there already: choose another directory.
    #[error("{} is not empty; name a directory that is empty or not there", .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The destination holds something that does not continue as the journal does: choose another directory.
    #[error("{} holds another history ({found}, the journal is {expected}); name another directory", .path.display())]
    AnotherHistory {
        /// The destination.
        path: PathBuf,
        /// The history there.
        found: Incarnation,
        /// The history of the journal.
        expected: Incarnation,
    },
    /// The destination has the journal's incarnation and other commits: one of them went its own way.
    #[error(
        "{} has gone its own way from commit {commit} on, or earlier; name another directory",
        .path.display()
    )]
    Diverged {
        /// The destination.
        path: PathBuf,
        /// A commit that differs.
        commit: u64,
    },
    /// The destination is ahead of the journal: it is newer.
    #[error("{} is ahead: it ends with commit {found}, the journal with {commit}", .path.display())]
    Ahead {
        /// The destination.
        path: PathBuf,
        /// Number of its last commit.
        found: u64,
        /// Number of the journal's last commit.
        commit: u64,
    },
    /// The position was never reached.
    #[error("position {wanted} is beyond the journal's last event, {newest}")]
    Beyond {
        /// What was asked for.
        wanted: Position,
        /// Position of the last event.
        newest: Position,
    },
    /// The output takes no more.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
    /// The input gives no more.
    #[error("the input cannot be read: {0}")]
    Input(io::Error),
    /// The input is not what can be imported: mend the line, and import again.
    #[error("line {line}: {what}")]
    Line {
        /// Line of the input, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The journal took no appends, or could not be asked for them.
    #[error("{0}")]
    NotTaken(String),
}

impl ToolError {
    /// Sorts an error of the disk met while reading.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotReadable { path, source },
            _ => Self::Journal(OpenError::from_io(&path, source)),
        }
    }

    /// Sorts an error of the disk met while writing.
    pub(crate) fn writing(path: &Path, source: io::Error) -> Self {
        Self::Journal(OpenError::from_io(path, source))
    }

    pub(crate) fn damaged(segment: u32, offset: u64, what: impl Into<String>) -> Self {
        Self::Journal(OpenError::Damaged(Damage::at(segment, offset, what)))
    }
}
