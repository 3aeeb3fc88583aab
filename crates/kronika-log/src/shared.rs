//! What the commit thread, the readers and the callers share.

use crate::{
    disk::Disk, index::Index, lock::DirectoryLock, place::Place, queue::Queue, recent::Recent,
    sealing::Sealing, segments::Segments, settings::Settings, stats::Counters,
};
use kronika_core::{Epoch, Incarnation, Mark};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, RwLock},
};
use tokio::sync::watch;

/// Up to where the log is durable. Readers see nothing behind it.
#[derive(Debug, Clone)]
pub(crate) struct Durable {
    /// End of the last durable commit.
    pub(crate) end: Place,
    /// The last durable event.
    pub(crate) mark: Mark,
    /// Why nothing more will become durable, once that is so.
    pub(crate) failed: Option<Arc<str>>,
}

/// What the commit thread, the readers and the callers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) incarnation: Incarnation,
    pub(crate) index: Arc<Index>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) segments: Segments,
    pub(crate) durable: watch::Sender<Durable>,
    /// Durable epochs, by slice.
    pub(crate) epochs: RwLock<Vec<Epoch>>,
    pub(crate) queue: Queue,
    pub(crate) counters: Counters,
    pub(crate) notes: Vec<String>,
    pub(crate) sealing: Arc<Sealing>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    /// Kept as long as anything of the log lives.
    pub(crate) _lock: Option<Arc<DirectoryLock>>,
}

impl Shared {
    pub(crate) fn durable(&self) -> Durable {
        self.durable.borrow().clone()
    }

    /// Why nothing more is recorded.
    pub(crate) fn closed(&self) -> String {
        let failed = self.durable.borrow().failed.clone();
        failed.map_or_else(|| "the log is closed".to_owned(), |reason| reason.to_string())
    }

    /// Why the index could not be read; what is wrong of it is made anew.
    pub(crate) fn index_failed(&self, error: &io::Error) -> String {
        let runs = self.index.runs();
        let doubted = runs.runs.iter().filter(|run| run.is_doubted());
        let doubted = doubted.map(|run| (run.first, run.last)).collect::<Vec<_>>();
        match &doubted[..] {
            [] if error.kind() == io::ErrorKind::InvalidData => {
                format!("the index was made anew at this moment, for it was wrong: {error}")
            }
            [] => format!("the index cannot be read: {error}"),
            [(first, last), ..] => {
                doubted.iter().for_each(|run| self.sealing.doubt(*run));
                format!(
                    "the index of segments {first} to {last} is made anew, for it is wrong: {error}"
                )
            }
        }
    }
}
