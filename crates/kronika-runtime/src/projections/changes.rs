//! Telling of rows that have changed, for live queries.

use kronika_core::{KeyText, Token};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Batches of changed keys that a slow listener may be behind before it has to look at all.
const BATCHES: usize = 1024;

/// Keys whose rows a committed batch has changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RowsChanged {
    /// The keys; `None` where it cannot be told which, so that all may have.
    pub keys: Option<Arc<Vec<KeyText>>>,
    /// What the read model has seen since.
    pub seen: Token,
}

/// Where a projection's changes are told; costs next to nothing while nobody listens.
#[derive(Clone)]
pub(super) struct Changes(broadcast::Sender<RowsChanged>);

impl Changes {
    pub fn new() -> Self {
        Self(broadcast::channel(BATCHES).0)
    }

    pub fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub fn tell(&self, changed: RowsChanged) {
        // Nobody may be listening.
        let _ = self.0.send(changed);
    }

    pub fn listen(&self) -> broadcast::Receiver<RowsChanged> {
        self.0.subscribe()
    }
}
