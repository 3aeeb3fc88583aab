//! The newest commits in memory, so that live followers and just-written streams cost no file access.

use crate::{
    format::{CommitHeader, CommitKind},
    place::Place,
};
use bytes::Bytes;
use kronika_core::Position;
use std::{
    collections::VecDeque,
    sync::{PoisonError, RwLock},
};

/// A commit, as it stands in the log.
#[derive(Debug, Clone)]
pub(crate) struct StoredCommit {
    pub(crate) place: Place,
    pub(crate) header: CommitHeader,
    /// Header and body.
    pub(crate) bytes: Bytes,
}

impl StoredCommit {
    /// Where the next one would stand, if it is in the same segment.
    pub(crate) fn end(&self) -> Place {
        Place::new(self.place.segment(), self.place.offset() + self.bytes.len() as u64)
    }
    /// Whether it holds events after a position.
    pub(crate) fn has_after(&self, after: Position) -> bool {
        let last = self.header.first_position + u64::from(self.header.events);
        self.header.kind == CommitKind::Appends && self.header.events > 0 && last > after.get() + 1
    }
}

/// The newest commits, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Recent {
    bytes_max: usize,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    commits: VecDeque<StoredCommit>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: RwLock::default() }
    }

    pub(crate) fn push(&self, commit: StoredCommit) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += commit.bytes.len();
        kept.commits.push_back(commit);
        while kept.bytes > self.bytes_max {
            let oldest = kept.commits.pop_front().expect("bytes are kept by commits");
            kept.bytes -= oldest.bytes.len();
        }
    }

    /// The commit that covers a place.
    pub(crate) fn at(&self, place: Place) -> Option<StoredCommit> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let after = kept.commits.partition_point(|commit| commit.place <= place);
        let commit = kept.commits.get(after.checked_sub(1)?)?;
        (place < commit.end()).then(|| commit.clone())
    }

    /// The commit that holds the event after a position, if it is kept.
    pub(crate) fn holding(&self, after: Position) -> Option<StoredCommit> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = after.get() + 1;
        let later = kept.commits.partition_point(|commit| commit.header.first_position <= wanted);
        // Commits without events stand on the position of the next one.
        let mut before = kept.commits.range(..later).rev();
        before
            .find(|commit| commit.header.events > 0)
            .filter(|commit| commit.has_after(after))
            .cloned()
    }
}
