//! Snapshots, as the write side uses them: when one is due, how it is encoded, and which one is believed.
//!
//! Nothing here is needed for correctness. A snapshot that cannot be taken is left out, and one that does not
//! fit is ignored with a warning; either way the stream is folded.

use crate::{limits::Limits, stats::Counters, work::panic_message};
use bytes::Bytes;
use futures_util::FutureExt;
use kronika_core::{
    Aggregate, Codec, DynJournal, Incarnation, SharedSnapshotStore, Snapshot, StreamId, Version,
    decode_json,
};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a loading waits for the store before it goes on without it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two warnings of one aggregate type.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

/// The snapshots of one aggregate type.
pub(crate) struct Snapshots {
    store: Option<SharedSnapshotStore>,
    incarnation: Incarnation,
    /// Whether the journal finds keys. Where it does not, an aggregate with keys is always folded whole.
    finds_keys: bool,
    every: Option<u32>,
    bytes_max: usize,
    places: Arc<Semaphore>,
    /// Bytes that are encoded and not yet saved.
    held: Arc<AtomicUsize>,
    warned: Mutex<Option<Instant>>,
    #[cfg(feature = "planted-faults")]
    pub trusts: bool,
    #[cfg(feature = "planted-faults")]
    pub early: bool,
}

/// Room for one snapshot on its way from the state to the store.
pub(crate) struct Room {
    _place: OwnedSemaphorePermit,
    bytes: usize,
    held: Arc<AtomicUsize>,
}

impl Room {
    pub fn holds(&mut self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A state that was encoded at a version and is saved when that version is durable.
pub(crate) struct Held {
    pub version: Version,
    pub keyed: bool,
    pub state: Bytes,
    pub room: Room,
}

impl Snapshots {
    pub fn new(
        store: Option<SharedSnapshotStore>,
        journal: &dyn DynJournal,
        limits: &Limits,
    ) -> Self {
        Self {
            store,
            incarnation: journal.incarnation(),
            finds_keys: journal.capabilities().finds_keys,
            every: limits.snapshot_every,
            bytes_max: limits.snapshot_bytes,
            places: Arc::new(Semaphore::new(limits.snapshots)),
            held: Arc::default(),
            warned: Mutex::default(),
            #[cfg(feature = "planted-faults")]
            trusts: limits.trusted_snapshot,
            #[cfg(feature = "planted-faults")]
            early: limits.early_snapshot,
        }
    }

    /// Events between two snapshots; 0 is never.
    pub fn every<A: Aggregate>(&self) -> u32 {
        match self.store {
            Some(_) => self.every.unwrap_or(A::SNAPSHOT_EVERY),
            None => 0,
        }
    }

    /// Whether an aggregate may have snapshots: one with keys only where the journal finds keys.
    pub fn suits(&self, keyed: bool) -> bool {
        self.finds_keys || !keyed
    }

    /// Room for a snapshot of about so many bytes; `None` while too many are under way.
    pub fn room(&self, bytes: usize) -> Option<Room> {
        const FULL_ONES: usize = 4;
        let held = self.held.load(Ordering::Relaxed);
        let fits = held == 0 || held + bytes <= self.bytes_max.saturating_mul(FULL_ONES);
        let place = self.places.clone().try_acquire_owned().ok().filter(|_| fits)?;
        Some(Room { _place: place, bytes: 0, held: self.held.clone() })
    }

    /// Hands a durable snapshot to the store, aside.
    pub fn save<A: Aggregate>(&self, stream: StreamId, mark: kronika_core::Mark, held: Held) {
        let Some(store) = self.store.clone() else { return };
        let Held { version, keyed, state, room } = held;
        let (incarnation, schema, codec) = (self.incarnation, A::STATE_SCHEMA, Codec::Json);
        let snapshot = Snapshot { stream, incarnation, version, mark, schema, keyed, codec, state };
        tokio::spawn(async move {
            let saved = AssertUnwindSafe(async { store.save(snapshot).await }).catch_unwind();
            match saved.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a snapshot was not saved"),
                Err(panic) => {
                    let said = panic_message(&*panic);
                    tracing::error!(said, "the store of snapshots panicked");
                }
            }
            drop(room);
        });
    }

    /// The newest snapshot of a stream, and its state, if it is of this history and this build and not beyond
    /// `until`. Whether its event is the recorded one is for who reads on from it.
    pub async fn find<A: Aggregate>(
        &self,
        counters: &Counters,
        stream: &StreamId,
        until: Version,
    ) -> Option<(Snapshot, A)> {
        let store = self.store.as_ref()?;
        let asked = AssertUnwindSafe(async { store.load(stream).await }).catch_unwind();
        let found = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(found))) => found?,
            Ok(Ok(Err(error))) => return self.ignore(counters, stream, &error.to_string()),
            Ok(Err(panic)) => {
                let said = format!("the store panicked: {}", panic_message(&*panic));
                return self.ignore(counters, stream, &said);
            }
            Err(_) => return self.ignore(counters, stream, "the store does not answer"),
        };
        if found.version > until || !self.suits(found.keyed) {
            return None;
        }
        match self.read::<A>(stream, &found) {
            Ok(state) => Some((found, state)),
            Err(why) => self.ignore(counters, stream, &why),
        }
    }

    fn read<A: Aggregate>(&self, stream: &StreamId, found: &Snapshot) -> Result<A, String> {
        if found.stream != *stream {
            return Err(format!("it is of {}", found.stream));
        }
        if found.incarnation != self.incarnation && !self.trusts() {
            return Err(format!("it is of another history, incarnation {}", found.incarnation));
        }
        if found.schema != A::STATE_SCHEMA {
            let (schema, ours) = (found.schema, A::STATE_SCHEMA);
            return Err(format!("its state has schema {schema}, this build has {ours}"));
        }
        if found.version == Version::ZERO || found.codec != Codec::Json {
            return Err(format!("version {}, codec {:?}", found.version, found.codec));
        }
        match catch_unwind(|| decode_json::<A>(&found.state)) {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(error)) => Err(format!("its state cannot be read: {error}")),
            Err(panic) => Err(format!("reading its state panicked: {}", panic_message(&*panic))),
        }
    }

    /// Counts a snapshot that does not serve, and names it in the log, once a second at most.
    pub fn ignore<T>(&self, counters: &Counters, stream: &StreamId, why: &str) -> Option<T> {
        Counters::add(&counters.snapshots_ignored, 1);
        self.warn(stream, why, "a snapshot is ignored; the events are read instead");
        None
    }

    pub fn warn(&self, stream: &StreamId, why: &str, what: &'static str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|before| before.elapsed() >= BETWEEN_WARNINGS) {
            *warned = Some(Instant::now());
            tracing::warn!(%stream, why, "{what}");
        }
    }

    /// The state as a snapshot has it, within the bound; or why there is none.
    pub fn encode<A: Aggregate>(&self, state: &A, about: usize) -> Result<Bytes, String> {
        let mut bounded = Bounded { bytes: Vec::with_capacity(about), left: self.bytes_max };
        let encoded = catch_unwind(AssertUnwindSafe(|| serde_json::to_writer(&mut bounded, state)));
        match encoded {
            Ok(Ok(())) => Ok(bounded.bytes.into()),
            Ok(Err(error)) if error.is_io() => {
                Err(format!("the state has more than {} bytes", self.bytes_max))
            }
            Ok(Err(error)) => Err(format!("the state cannot be encoded: {error}")),
            Err(panic) => Err(format!("encoding the state panicked: {}", panic_message(&*panic))),
        }
    }

    /// A fault that tests plant: the history of a snapshot is not checked.
    pub fn trusts(&self) -> bool {
        #[cfg(feature = "planted-faults")]
        return self.trusts;
        #[cfg(not(feature = "planted-faults"))]
        false
    }

    /// A fault that tests plant: a snapshot is saved before it is durable.
    pub fn early(&self) -> bool {
        #[cfg(feature = "planted-faults")]
        return self.early;
        #[cfg(not(feature = "planted-faults"))]
        false
    }
}

/// Bytes up to a bound.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far an aggregate is from its next snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Version of the newest snapshot, taken or loaded from; 0 is none.
    pub version: Version,
    /// Bytes of its state.
    pub bytes: usize,
    /// Bytes of events since.
    pub since: usize,
    /// Not tried again before this version.
    pub not_before: Version,
    /// Whether it waits in the shard's queue of those that are due.
    pub queued: bool,
}

impl Progress {
    /// Whether a state of this version is worth a snapshot: so many events, and a quarter of its bytes.
    pub fn is_due(&self, version: Version, every: u32) -> bool {
        let events = version.get().saturating_sub(self.version.get());
        every > 0
            && events >= u64::from(every)
            && version >= self.not_before
            && self.since.saturating_mul(4) >= self.bytes
    }

    /// A snapshot of so many bytes was taken at a version.
    pub fn taken(version: Version, bytes: usize) -> Self {
        Self { version, bytes, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_after_enough_events_and_a_quarter_of_its_bytes() {
        let version = Version::new;
        let taken = Progress::taken(version(10), 400);
        assert!(!Progress { since: 400, ..taken }.is_due(version(13), 4));
        assert!(!Progress { since: 99, ..taken }.is_due(version(14), 4));
        assert!(Progress { since: 100, ..taken }.is_due(version(14), 4));
        assert!(!Progress { since: 100, ..taken }.is_due(version(14), 0), "0 is never");
        let postponed = Progress { since: 100, not_before: version(15), ..taken };
        assert!(!postponed.is_due(version(14), 4) && postponed.is_due(version(15), 4));
    }
}
