//! Commits in which something goes wrong, on purpose.

use super::{SqliteReadModels, contract::write, transact};
use crate::{checkpoints, opening::Kept};
use kronika_core::{Commit, CommitError, StoreFault};
use rusqlite::{Connection, Transaction};
use std::sync::atomic::Ordering;

/// A commit in which something goes wrong.
pub(super) struct Fault {
    outside: bool,
    fails: bool,
}

impl SqliteReadModels {
    pub(super) fn planted(&self) -> Option<Fault> {
        let planted = &self.inner.settings.planted;
        let number = self.inner.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = planted.fails_before_checkpoint == Some(number);
        let outside = planted.checkpoint_outside_transaction;
        (fails || outside).then_some(Fault { outside, fails })
    }
}

impl Fault {
    pub(super) fn commit(
        &self,
        connection: &mut Connection,
        kept: &Kept,
        commit: &Commit,
    ) -> Result<(), CommitError> {
        let Commit { read_model, partition, expected, next, .. } = commit;
        let rows = |transaction: &Transaction<'_>| -> Result<(), CommitError> {
            Ok(write(transaction, kept, commit)?)
        };
        let checkpoint = |transaction: &Transaction<'_>| match self.fails {
            true => Err(StoreFault::Unavailable("a planted failure".into()).into()),
            false => checkpoints::advance(transaction, read_model, *partition, expected, next),
        };
        if self.outside {
            transact(connection, rows)?;
            transact(connection, checkpoint)
        } else {
            transact(connection, |transaction| {
                rows(transaction)?;
                checkpoint(transaction)
            })
        }
    }
}
