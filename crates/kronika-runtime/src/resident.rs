//! One aggregate in memory: its state ahead of the journal, and every command whose answer waits for it.
//!
//! A resident knows nothing of the journal; the shard sends its appends and hands it their results.

use crate::{
    keys::KeyMemory,
    load::Loaded,
    snapshots::{Held, Progress},
    work::Work,
};
use kronika_core::{
    Aggregate, AppendError, AppendId, Committed, Epoch, Loading, Mark, StreamId, Version,
};
use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::time::Instant;

/// What a resident may do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Its history is being read.
    Loading,
    /// It decides.
    Live,
    /// The journal is being asked for an idempotency key; what comes waits, to keep the order.
    Asking,
    /// An append failed or the state is spoiled: waits for the results of all appends in flight.
    Broken,
    /// Fencing, reading back and loading again.
    Recovering,
}

/// An append of a pending command on its way.
pub(crate) enum Flight {
    Out(AppendId),
    Recorded(Committed),
    Failed(AppendId, AppendError),
}

/// A decided command that waits for what it saw, and for its own append, to be durable.
pub(crate) struct Pending<A: Aggregate> {
    pub work: Box<dyn Work<A>>,
    pub needs: Version,
    /// `None`: an answer that records nothing.
    pub flight: Option<Flight>,
}

/// An answer that may be told.
pub(crate) struct Released<A: Aggregate> {
    pub work: Box<dyn Work<A>>,
    pub version: Version,
    pub mark: Mark,
    /// What was recorded; `None` for an answer without an append, which needs a live lease.
    pub recorded: Option<AppendId>,
}

type Works<A> = VecDeque<Box<dyn Work<A>>>;

pub(crate) struct Resident<A: Aggregate> {
    pub id: A::Id,
    pub stream: StreamId,
    pub phase: Phase,
    pub state: A,
    /// Version of the state, durable or not.
    pub version: Version,
    pub durable: Version,
    /// The last durable event's place.
    pub mark: Mark,
    pub loading: Loading,
    pub epoch: Epoch,
    pub pending: VecDeque<Pending<A>>,
    /// Number of the first pending command; the journal's results are matched by it.
    first: u64,
    /// Appends without a result.
    pub in_flight: usize,
    /// Commands that came while it could not decide.
    pub backlog: Works<A>,
    /// Keyed commands that are pending, each with those that came again meanwhile.
    pub twins: HashMap<u128, Works<A>, foldhash::fast::RandomState>,
    /// How many those are.
    pub twins_waiting: usize,
    /// Bytes of events since the weight was estimated.
    pub unweighed: usize,
    /// A command whose panic spoiled the state.
    pub spoiled: Option<Box<dyn Work<A>>>,
    pub keys: KeyMemory,
    /// How far it is from its next snapshot.
    pub progress: Progress,
    /// A snapshot that waits for its version to be durable.
    pub held: Option<Held>,
    /// Bytes in memory, by estimate.
    pub weight: usize,
    /// Version at which the weight is estimated again.
    pub weigh_at: Version,
    pub used: Instant,
    /// Hash of the id, for the frequency sketch.
    pub hash: u64,
    /// Whether a question to the journal is out.
    pub asking: bool,
}

/// Bytes that a resident takes beside its state, roughly.
const RESIDENT_BYTES: usize = 640;

impl<A: Aggregate> Resident<A> {
    pub fn new(id: A::Id, hash: u64, stream: StreamId, used: Instant) -> Self {
        Self {
            id,
            stream,
            phase: Phase::Loading,
            state: A::default(),
            version: Version::ZERO,
            durable: Version::ZERO,
            mark: Mark::default(),
            loading: Loading::default(),
            epoch: Epoch::default(),
            pending: VecDeque::new(),
            first: 0,
            in_flight: 0,
            backlog: VecDeque::new(),
            twins: HashMap::default(),
            twins_waiting: 0,
            unweighed: 0,
            spoiled: None,
            keys: KeyMemory::new(),
            progress: Progress::default(),
            held: None,
            weight: RESIDENT_BYTES,
            weigh_at: Version::ZERO,
            used,
            hash,
            asking: false,
        }
    }

    /// Durable state, loaded under this epoch. A number of loading that was never used before.
    pub fn install(&mut self, loaded: Loaded<A>, epoch: Epoch) {
        assert!(self.in_flight == 0, "a state is installed only when nothing is in flight");
        self.state = loaded.state;
        self.version = loaded.version;
        self.durable = loaded.version;
        self.mark = loaded.mark;
        self.keys = loaded.keys;
        self.progress = loaded.progress;
        self.held = None;
        self.epoch = epoch;
        self.loading = next_loading();
        self.phase = Phase::Live;
        self.weigh_at = Version::ZERO;
    }

    /// Adds a decided command; gives its number.
    pub fn push(&mut self, pending: Pending<A>) -> u64 {
        if matches!(pending.flight, Some(Flight::Out(_))) {
            self.in_flight += 1;
        }
        self.pending.push_back(pending);
        self.first + self.pending.len() as u64 - 1
    }

    /// The journal's result for the append of a pending command; gives the number of events recorded.
    pub fn result(&mut self, number: u64, result: Result<Committed, AppendError>) -> u64 {
        self.in_flight -= 1;
        let index = usize::try_from(number - self.first).expect("pending commands are few");
        let pending = &mut self.pending[index];
        let Some(Flight::Out(id)) = pending.flight else {
            unreachable!("a result comes once, for an append that is out");
        };
        match result {
            Ok(committed) => {
                assert!(committed.version >= self.durable, "versions rise in order");
                let events = committed.version.get() - self.durable.get();
                self.durable = committed.version;
                self.mark = committed.mark.unwrap_or(self.mark);
                pending.flight = Some(Flight::Recorded(committed));
                events
            }
            Err(error) => {
                pending.flight = Some(Flight::Failed(id, error));
                // It was encoded from events that are not recorded.
                self.held = None;
                if self.phase == Phase::Live || self.phase == Phase::Asking {
                    self.phase = Phase::Broken;
                }
                0
            }
        }
    }

    /// The next answer that may be told, in order.
    pub fn release(&mut self) -> Option<Released<A>> {
        let front = self.pending.front()?;
        let (version, mark, recorded) = match &front.flight {
            None if front.needs <= self.durable => (front.needs, self.mark, false),
            Some(Flight::Recorded(committed)) => {
                (committed.version, committed.mark.unwrap_or(self.mark), true)
            }
            _ => return None,
        };
        let mut pending = self.pending.pop_front().expect("the front was there");
        self.first += 1;
        let recorded = pending.work.request().append.filter(|_| recorded);
        Some(Released { work: pending.work, version, mark, recorded })
    }

    /// Everything pending, for a way back; what follows is numbered on.
    pub fn take_pending(&mut self) -> VecDeque<Pending<A>> {
        self.first += self.pending.len() as u64;
        std::mem::take(&mut self.pending)
    }

    /// Whether letting it go would lose nothing.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Live
            && self.pending.is_empty()
            && self.backlog.is_empty()
            && self.twins.is_empty()
            && self.in_flight == 0
    }

    /// Commands that are undecided or unanswered.
    pub fn waiting(&self) -> usize {
        self.pending.len() + self.backlog.len() + self.twins_waiting
    }

    /// Estimates the weight anew where the state may have grown by a quarter; gives the change in bytes.
    pub fn weigh(&mut self) -> isize {
        if self.version < self.weigh_at && self.unweighed < (self.weight / 4).max(4096) {
            return 0;
        }
        self.weigh_at = self.version.plus(64 + self.version.get() / 4);
        self.unweighed = 0;
        // The user's code: a panic in it leaves the estimate as it was.
        let weighed = catch_unwind(AssertUnwindSafe(|| {
            self.state.weight_bytes().unwrap_or_else(|| encoded_bytes(&self.state))
        }));
        let Ok(state) = weighed else { return 0 };
        let beside = RESIDENT_BYTES + self.stream.name().len();
        let weight = beside.saturating_add(state).min(isize::MAX as usize / 2);
        let change = weight as isize - self.weight as isize;
        self.weight = weight;
        change
    }
}

fn next_loading() -> Loading {
    static LOADINGS: AtomicU64 = AtomicU64::new(1);
    Loading::new(LOADINGS.fetch_add(1, Ordering::Relaxed))
}

fn encoded_bytes<A: Aggregate>(state: &A) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A state that cannot be encoded is found by the testkit; here it only weighs nothing.
    let _ = serde_json::to_writer(&mut count, state);
    count.0
}
