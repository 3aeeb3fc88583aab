//! A journal in memory: deterministic, seeded, and as bad as a test wants it to be.
//!
//! It keeps the contract of [`Journal`] to the letter, in one partition, and injects what real stores do:
//! conflict, fencing, failure, unknown outcomes before, after and long after the effect, failed and slow
//! reads, failed writes, crashes. It is for tests: it forgets everything with its last handle, and can be
//! told to break its contract, so that a checker is seen to notice.

mod account;
mod effect;
mod injection;
mod reads;
mod settings;
mod state;
mod store;

pub use account::Sent;
pub use settings::{Fault, MemorySettings, Plan, PlantedFault, ReadFault};
pub use store::{Recorded, Writer};

use kronika_core::{
    Append, AppendBy, AppendError, Appended, Capabilities, ClaimError, Epoch, Incarnation, Journal,
    Mark, Ownership, PartitionId, PartitionPage, Position, ReadError, ReadPartition, ReadStream,
    RecordedAppend, Slice, SliceRange, StreamId, StreamPage,
};
use settings::PlantedFault as Planted;
use state::{Claim, Connection, Entry, Flying, Group, State};
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use store::PARTITION;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

/// A journal in memory. Clones are handles of one process on one journal.
///
/// Must be used inside a tokio runtime; with a paused clock its delays cost nothing.
#[derive(Clone)]
pub struct MemoryJournal {
    shared: Arc<Shared>,
    connection: Connection,
}

struct Shared {
    state: Mutex<State>,
    /// Changes whenever something took effect.
    changed: watch::Sender<u64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the journal")
    }

    fn take_effect(self: &Arc<Self>, up_to: u64) {
        let delayed = self.state().take_effect(up_to);
        for (number, later) in delayed {
            let shared = self.clone();
            tokio::spawn(async move {
                sleep(later).await;
                shared.take_late_effect(number);
            });
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn take_late_effect(&self, number: u64) {
        let mut state = self.state();
        if let Some(index) = state.late.iter().position(|late| late.number == number) {
            let append = state.late.remove(index).append;
            state.record_late(append);
        }
        drop(state);
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Puts an entry behind all others, and sees to it that it takes effect whoever waits for it.
    fn enqueue(self: &Arc<Self>, state: &mut State, entry: Entry) {
        let (number, due) = (state.next_number(), state.due());
        state.queue.push_back((number, entry));
        let shared = self.clone();
        tokio::spawn(async move {
            pass(due.saturating_duration_since(Instant::now())).await;
            shared.take_effect(number);
        });
    }
}

/// Lets a virtual time pass, or at least one turn of the runtime.
async fn pass(delay: Duration) {
    if delay.is_zero() { tokio::task::yield_now().await } else { sleep(delay).await }
}

impl MemoryJournal {
    /// Without faults and delays.
    pub fn new(seed: u64) -> Self {
        Self::open(MemorySettings { seed, ..MemorySettings::default() })
    }

    /// As the settings say.
    pub fn open(settings: MemorySettings) -> Self {
        let state = State::new(settings);
        let connection = Connection { process: state.processes, opening: state.opening };
        let changed = watch::channel(0).0;
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed }), connection }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Waits as long as a read takes, then reads, unless the read is to fail.
    async fn read<T>(
        &self,
        read: impl FnOnce(&State) -> Result<T, ReadError> + Send,
    ) -> Result<T, ReadError> {
        let (delay, fails) = self.state().read_fate();
        pass(delay).await;
        let state = self.state();
        if state.is_closed(self.connection) {
            return Err(ReadError::Closed("it crashed, or was opened anew".into()));
        }
        if fails {
            return Err(ReadError::Unavailable(State::unavailable()));
        }
        read(&state)
    }

    /// Takes the group's place behind all others.
    fn send(&self, group: Vec<Append>) -> oneshot::Receiver<(Vec<Appended>, Duration)> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        if state.is_closed(self.connection) {
            let closed = AppendError::Failed("it crashed, or was opened anew".into());
            let refused = group.iter().map(|_| Err(closed.clone())).collect();
            answer.send((refused, Duration::ZERO)).expect("the receiver stands below");
            return answered;
        }
        let appends = group.into_iter().map(|append| {
            let fault = state.fault_of(&append);
            let epoch_held_at_call = append.epoch >= state.store.epoch(&append.stream);
            let (line, called) = (state.sent.len(), state.moments.now());
            let (id, stream) = (append.id, append.stream.clone());
            state.sent.push(Sent { id, stream, called, fault, told: None });
            Flying { append, fault, line, epoch_held_at_call }
        });
        let appends = appends.collect();
        let group = Group { process: self.connection.process, appends, answer };
        self.shared.enqueue(&mut state, Entry::Group(group));
        answered
    }
}

impl Journal for MemoryJournal {
    fn capabilities(&self) -> Capabilities {
        let state = self.state();
        let leases = state.settings.lease.is_some();
        Capabilities { partitions: 1, finds_keys: state.settings.finds_keys, durable: true, leases }
    }

    fn incarnation(&self) -> Incarnation {
        self.state().store.incarnation
    }

    fn append(&self, group: Vec<Append>) -> impl Future<Output = Vec<Appended>> + Send + use<> {
        let count = group.len();
        let journal = self.clone();
        let (sent, unsent) = match self.state().is_planted(Planted::PlaceWhenPolled) {
            true => (None, Some(group)),
            false => (Some(group), None),
        };
        let sent = sent.map(|group| self.send(group));
        async move {
            let answered = sent.or_else(|| unsent.map(|group| journal.send(group)));
            let answered = answered.expect("a group is sent at once or when it is polled");
            // An empty answer, or none, is that of a crash.
            let (mut results, delay) = answered.await.unwrap_or_default();
            results.resize(count, Err(AppendError::UnknownOutcome));
            if !delay.is_zero() {
                sleep_until(Instant::now() + delay).await;
            }
            results
        }
    }

    async fn claim(
        &self,
        slices: SliceRange,
        held: Option<Epoch>,
    ) -> Result<Ownership, ClaimError> {
        let closed = || ClaimError::Failed("it crashed, or was opened anew".into());
        let answered = {
            let mut state = self.state();
            if state.is_closed(self.connection) {
                return Err(closed());
            }
            let unavailable = state.settings.plan.claim_unavailable;
            if state.chance(unavailable) {
                return Err(ClaimError::Unavailable(State::unavailable()));
            }
            if state.is_planted(Planted::RecordedAfterClaim) {
                return state.claim(slices, held);
            }
            let (answer, answered) = oneshot::channel();
            self.shared.enqueue(&mut state, Entry::Claim(Claim { slices, held, answer }));
            answered
        };
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn epoch(&self, slice: Slice) -> Result<Epoch, ReadError> {
        self.read(|state| Ok(state.store.epochs[usize::from(slice.get())])).await
    }

    async fn read_stream(&self, read: ReadStream) -> Result<StreamPage, ReadError> {
        self.read(|state| Ok(state.store.read_stream(&read, &state.planted))).await
    }

    async fn read_partition(&self, read: ReadPartition) -> Result<PartitionPage, ReadError> {
        self.read(|state| state.store.read_partition(&read, &state.planted)).await
    }

    async fn read_append(
        &self,
        stream: &StreamId,
        by: AppendBy,
    ) -> Result<Option<RecordedAppend>, ReadError> {
        self.read(|state| {
            if matches!(by, AppendBy::Key { .. }) && !state.settings.finds_keys {
                return Err(ReadError::Unavailable("this journal finds no keys".into()));
            }
            Ok(state.store.read_append(stream, &by, &state.planted))
        })
        .await
    }

    async fn head(&self, partition: PartitionId) -> Result<Mark, ReadError> {
        self.read(|state| match partition == PARTITION {
            true => Ok(state.store.head()),
            false => Err(ReadError::NoPartition(partition)),
        })
        .await
    }

    async fn wait_beyond(
        &self,
        partition: PartitionId,
        position: Position,
    ) -> Result<Mark, ReadError> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            let head = self.head(partition).await?;
            if head.position > position {
                return Ok(head);
            }
            if self.state().is_planted(Planted::NeverWakes) {
                std::future::pending::<()>().await;
            }
            let alive = changed.changed().await;
            alive.map_err(|_| ReadError::Closed("its last handle has gone".into()))?;
        }
    }
}
