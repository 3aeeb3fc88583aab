//! Why a log could not be opened: one kind for each thing that an operator would do, one clear line each.

use kronika_core::StreamId;
use std::{fmt, io, path::PathBuf};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process holds the directory: stop it first.
    #[error("{} is in use by {}", .directory.display(), holder_words(*.holder))]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The holder's process id, where the lock file tells.
        holder: Option<u32>,
    },
    /// The path is something else than a directory.
    #[error("{} is not a directory", .path.display())]
    NotADirectory {
        /// What was to be opened.
        path: PathBuf,
    },
    /// Permission is missing, or the file system is read-only.
    #[error("{} cannot be written: {source}", .path.display())]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The disk is full: make room.
    #[error("the disk of {} is full: {source}", .path.display())]
    Full {
        /// What was to be written.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A later release wrote this: open it with that release.
    #[error("segment {segment} is of format {found}, this release reads up to format {known}")]
    Newer {
        /// The segment.
        segment: u32,
        /// Format that a reader must know.
        found: u32,
        /// The newest format that this release knows.
        known: u32,
    },
    /// Something that must be understood is not known to this release: open it with a later one.
    #[error("{what} in segment {segment} at offset {offset} is not known to this release")]
    Unknown {
        /// What it is, by its number.
        what: String,
        /// The segment.
        segment: u32,
        /// Offset in its file.
        offset: u64,
    },
    /// Syncs and locks of network file systems promise too little: use a local disk.
    #[error("{} is on the network file system {kind}, a local one is needed", .path.display())]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// No head is published: whoever writes the journal publishes one when it opens it.
    #[error(
        "the journal in {} says nowhere how far it is durable: open it once with its service",
        .path.display()
    )]
    Unpublished {
        /// The journal's directory.
        path: PathBuf,
    },
    /// What is stored is not what was written. Nothing was changed.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// A setting cannot be used.
    #[error("settings cannot be used: {0}")]
    Settings(String),
    /// The disk failed.
    #[error("{} failed: {source}", .path.display())]
    Failed {
        /// The file or directory.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
}

fn holder_words(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}

impl OpenError {
    /// Sorts an error of the disk by what an operator would do.
    pub(crate) fn from_io(path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source }
            }
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Failed { path, source },
        }
    }
}

/// Where the journal is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// Offset in its file.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
    /// Streams that are affected, where they can be told; there may be more.
    pub streams: Vec<StreamId>,
}

impl Damage {
    pub(crate) fn at(segment: u32, offset: u64, what: impl Into<String>) -> Self {
        Self { segment, offset, what: what.into(), streams: Vec::new() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, what, streams } = self;
        write!(f, "segment {segment} at offset {offset}: {what}")?;
        for (index, stream) in streams.iter().enumerate() {
            let before = if index == 0 { "; streams " } else { ", " };
            write!(f, "{before}{stream}")?;
        }
        Ok(())
    }
}
