//! Snapshots: the state of an aggregate saved at a version, so that loading it need not read its whole stream.
//!
//! A snapshot is derived from the journal and never needed: one that is absent, damaged or does not fit costs
//! time and nothing else. So nothing here is a source of truth, and no command ever waits for one to be saved.

use crate::{
    append::{Codec, Mark},
    dyn_journal::BoxFuture,
    ids::{Incarnation, Version},
    stream::StreamId,
};
use bytes::Bytes;
use std::{future::Future, sync::Arc};

/// The state of an aggregate at a version, with what tells whether it belongs to the history at hand.
///
/// Appends without events that stand on its version are read again when loading goes on from it: taking one
/// twice changes nothing. Idempotency keys are not in it, see [`Snapshot::keyed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The aggregate's stream.
    pub stream: StreamId,
    /// The history of the journal that it was taken of.
    pub incarnation: Incarnation,
    /// The version of the state: where an append with events ends. It was durable when this was saved.
    pub version: Version,
    /// Place and check of the event at that version.
    pub mark: Mark,
    /// The aggregate's number of its state's shape, `Aggregate::STATE_SCHEMA`.
    pub schema: u32,
    /// Whether any append up to that version may have an idempotency key. If so, who loads from this does not
    /// know all keys of the stream and asks the journal.
    pub keyed: bool,
    /// How the state is encoded.
    pub codec: Codec,
    /// The encoded state.
    pub state: Bytes,
}

/// Why a snapshot was not saved or not found. Whoever asked goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The store cannot be used now; later it may.
    #[error("the store of snapshots cannot be used now: {0}")]
    Unavailable(String),
    /// What is stored is not what was saved.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// Too many waited, and newer ones went first.
    #[error("the snapshot was left out, since too many waited to be saved")]
    LeftOut,
    /// The state is larger than the store takes.
    #[error("the snapshot has {bytes} bytes, at most {bytes_max} are taken")]
    TooLarge {
        /// Its encoded state.
        bytes: usize,
        /// What the store takes.
        bytes_max: usize,
    },
}

/// Keeps the newest snapshot of each stream.
///
/// # Contract
///
/// * `save` takes the place of what was kept for the stream before. It may leave a snapshot out, and may lose
///   it afterwards; what was kept before it may then be found again.
/// * `load` gives what was saved, or nothing, or an error: never other bytes than were saved for that stream.
/// * Neither blocks the thread that calls it. `save` takes its place when it is called, not when its future is
///   first polled, and dropping the future withdraws nothing.
///
/// Whether a snapshot fits the journal is not the store's business.
pub trait SnapshotStore: Send + Sync + 'static {
    /// The newest snapshot of a stream that was kept.
    fn load(
        &self,
        stream: &StreamId,
    ) -> impl Future<Output = Result<Option<Snapshot>, SnapshotError>> + Send;

    /// Saves a snapshot; returns when it can be loaded, or was left out.
    fn save(
        &self,
        snapshot: Snapshot,
    ) -> impl Future<Output = Result<(), SnapshotError>> + Send + use<Self>;
}

/// [`SnapshotStore`] with its type erased: what the runtime holds. Implemented for every store.
pub trait DynSnapshotStore: Send + Sync + 'static {
    /// See [`SnapshotStore::load`].
    fn load<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, SnapshotError>>;
    /// See [`SnapshotStore::save`].
    fn save(&self, snapshot: Snapshot) -> BoxFuture<'static, Result<(), SnapshotError>>;
}

/// A store of snapshots shared by all who use it.
pub type SharedSnapshotStore = Arc<dyn DynSnapshotStore>;

impl<S: SnapshotStore> DynSnapshotStore for S {
    fn load<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, SnapshotError>> {
        Box::pin(SnapshotStore::load(self, stream))
    }
    fn save(&self, snapshot: Snapshot) -> BoxFuture<'static, Result<(), SnapshotError>> {
        Box::pin(SnapshotStore::save(self, snapshot))
    }
}
