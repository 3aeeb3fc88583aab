//! What the commit thread, the readers and the callers share.

use crate::{
    disk::Disk, index::Index, lock::DirectoryLock, place::Place, queue::Queue, recent::Recent,
    segments::Segments, settings::Settings, stats::Counters,
};
use kronika_core::{Epoch, Incarnation, Mark};
use std::sync::{Arc, RwLock};
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
    pub(crate) index: Index,
    pub(crate) recent: Recent,
    pub(crate) segments: Segments,
    pub(crate) durable: watch::Sender<Durable>,
    /// Durable epochs, by slice.
    pub(crate) epochs: RwLock<Vec<Epoch>>,
    pub(crate) queue: Queue,
    pub(crate) counters: Counters,
    pub(crate) notes: Vec<String>,
    /// Kept open as long as anything of the log lives.
    pub(crate) _disk: Arc<dyn Disk>,
    pub(crate) _lock: Option<Arc<DirectoryLock>>,
}

impl Shared {
    pub(crate) fn durable(&self) -> Durable {
        self.durable.borrow().clone()
    }
}
