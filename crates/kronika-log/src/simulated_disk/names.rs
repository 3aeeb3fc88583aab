//! The names on the simulated disk: as seen, as durable, and the changes between the two, each of which may be lost
//! alone.

use super::inode::Kept;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    seen: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// What is not durable, in order.
    changes: Vec<Change>,
}

/// A change of one name, or of two at once.
#[derive(Debug, Clone)]
enum Change {
    Add(PathBuf, usize),
    Remove(PathBuf, usize),
    Move { from: PathBuf, to: PathBuf, inode: usize },
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<usize> {
        self.seen.get(path).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&PathBuf, usize)> {
        self.seen.iter().map(|(path, inode)| (path, *inode))
    }

    pub(super) fn add(&mut self, path: &Path, inode: usize) {
        self.change(Change::Add(path.to_owned(), inode));
    }

    pub(super) fn remove(&mut self, path: &Path, inode: usize) {
        self.change(Change::Remove(path.to_owned(), inode));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, inode: usize) {
        self.change(Change::Move { from: from.to_owned(), to: to.to_owned(), inode });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    /// Makes the changes in a directory durable.
    pub(super) fn sync(&mut self, directory: &Path) {
        self.changes.retain(|change| change.directory() != Some(directory));
        self.durable.retain(|path, _| path.parent() != Some(directory));
        let seen = self.seen.iter().filter(|(path, _)| path.parent() == Some(directory));
        self.durable.extend(seen.map(|(path, inode)| (path.clone(), *inode)));
    }

    /// The sync fails: some changes are durable, the others still wait for one.
    pub(super) fn sync_failing(&mut self, directory: &Path, random: &mut fastrand::Rng) {
        let some = |change: &mut Change| change.directory() == Some(directory) && random.bool();
        for change in self.changes.extract_if(.., some) {
            change.apply(&mut self.durable);
        }
    }

    /// The power fails: of the changes any may be there, each for itself.
    pub(super) fn lose(&mut self, kept: Kept, random: &mut fastrand::Rng) {
        let changes = std::mem::take(&mut self.changes);
        let count = changes.len();
        for (index, change) in changes.into_iter().enumerate() {
            if !kept.keeps(index, count, random) {
                continue;
            }
            if let Change::Move { to, inode, .. } = &change
                && random.u8(..8) == 0
            {
                // The new name is there and the old one is not gone yet.
                self.durable.insert(to.clone(), *inode);
            } else {
                change.apply(&mut self.durable);
            }
        }
        self.seen = self.durable.clone();
    }

    /// Removes a name, durably.
    pub(super) fn forget(&mut self, path: &Path) {
        self.seen.remove(path);
        self.durable.remove(path);
    }

    /// Whether a file has a name, or may have one again.
    pub(super) fn has(&self, inode: usize) -> bool {
        let named = |names: &BTreeMap<PathBuf, usize>| names.values().any(|one| *one == inode);
        named(&self.seen) || named(&self.durable)
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Add(path, inode) => drop(names.insert(path.clone(), *inode)),
            Self::Remove(path, inode) => {
                if names.get(path) == Some(inode) {
                    names.remove(path);
                }
            }
            Self::Move { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Add(path, _) | Self::Remove(path, _) | Self::Move { to: path, .. } => {
                path.parent()
            }
        }
    }
}
