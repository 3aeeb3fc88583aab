//! The right to write: one epoch for the process, claimed at the start and again when an outcome is unknown.

use kronika_core::{
    ClaimError, Epoch, Lease, Ownership as Claimed, SharedJournal, Slice, SliceRange,
};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::{Mutex, watch};

/// Owner of all slices, shared by all shards.
pub(crate) struct Ownership {
    journal: SharedJournal,
    epoch: AtomicU64,
    /// Highest epoch under which an append is still in doubt, since a fence could not be put up; 0 is none.
    doubtful: AtomicU64,
    lost: AtomicBool,
    failed: OnceLock<String>,
    lease: std::sync::Mutex<Lease>,
    /// One claim at a time.
    claiming: Mutex<()>,
    /// Says when the journal has failed or was lost to another owner.
    standing: watch::Sender<Standing>,
}

/// Whether this process may write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It owns the journal.
    Owner,
    /// Another writer has claimed it.
    Lost,
    /// The journal has failed: nothing is acknowledged until the process starts anew.
    Failed(String),
}

/// Why a fence could not be put up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FenceError {
    Lost,
    Failed(String),
    Unavailable(String),
}

impl Ownership {
    pub async fn claim(journal: SharedJournal) -> Result<Arc<Self>, ClaimError> {
        let Claimed { epoch, lease } = journal.claim(SliceRange::ALL, None).await?;
        Ok(Arc::new(Self {
            journal,
            epoch: AtomicU64::new(epoch.get()),
            doubtful: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            failed: OnceLock::new(),
            lease: std::sync::Mutex::new(lease),
            claiming: Mutex::new(()),
            standing: watch::channel(Standing::Owner).0,
        }))
    }

    pub fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::Acquire))
    }

    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Why nothing more is acknowledged, once the journal has failed.
    pub fn failure(&self) -> Option<String> {
        self.failed.get().cloned()
    }

    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Whether an answer without an append may be given without asking the journal for its epoch.
    pub fn lease_is_live(&self) -> bool {
        match *self.lease.lock().expect("nothing panics under this lock") {
            Lease::Exclusive => true,
            Lease::Until(end) => tokio::time::Instant::now().into_std() < end,
            _ => false,
        }
    }

    /// Whether the journal still has this process as the owner of the slice.
    pub async fn prove(&self, slice: Slice) -> Result<bool, String> {
        let read = || async { self.journal.epoch(slice).await.map_err(|error| error.to_string()) };
        if read().await? <= self.epoch() {
            return Ok(!self.is_lost());
        }
        // A claim of ours may be on its way back: the journal has it before we know.
        let _one_at_a_time = self.claiming.lock().await;
        if read().await? <= self.epoch() {
            return Ok(!self.is_lost());
        }
        self.lose();
        Ok(false)
    }

    /// Sees to it that no append under `held` or an older epoch can still be recorded, and that this process
    /// is the owner.
    pub async fn fence(&self, held: Epoch) -> Result<(), FenceError> {
        let _one_at_a_time = self.claiming.lock().await;
        if self.is_lost() {
            return Err(FenceError::Lost);
        }
        if self.epoch() > held {
            return Ok(());
        }
        match self.journal.claim(SliceRange::ALL, Some(self.epoch())).await {
            Ok(Claimed { epoch, lease }) => {
                *self.lease.lock().expect("nothing panics under this lock") = lease;
                self.epoch.store(epoch.get(), Ordering::Release);
                Ok(())
            }
            Err(ClaimError::Fenced { .. } | ClaimError::Leased) => {
                self.lose();
                Err(FenceError::Lost)
            }
            Err(ClaimError::Failed(why)) => {
                self.fail(&why);
                Err(FenceError::Failed(why))
            }
            Err(error) => Err(FenceError::Unavailable(error.to_string())),
        }
    }

    /// An append under this epoch was given up in doubt: it may still be recorded, until a fence stands. An
    /// append without events would not even show as a conflict.
    pub fn leave_in_doubt(&self, epoch: Epoch) {
        self.doubtful.fetch_max(epoch.get(), Ordering::AcqRel);
    }

    /// Before an aggregate is loaded: nothing that was given up in doubt may be recorded after that.
    pub async fn settle_doubts(&self) -> Result<(), FenceError> {
        let doubtful = Epoch::new(self.doubtful.load(Ordering::Acquire));
        if self.epoch() > doubtful { Ok(()) } else { self.fence(doubtful).await }
    }

    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        tracing::error!("another writer has claimed the journal; this process answers no more");
        self.standing.send_if_modified(|standing| {
            let owned = *standing == Standing::Owner;
            if owned {
                *standing = Standing::Lost;
            }
            owned
        });
    }

    /// The journal said that it has failed.
    pub fn fail(&self, why: &str) {
        if self.failed.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the journal has failed; nothing more is acknowledged");
            self.standing.send_replace(Standing::Failed(why.to_owned()));
        }
    }
}
