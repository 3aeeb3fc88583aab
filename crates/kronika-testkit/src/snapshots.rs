//! A store of snapshots in memory, as bad as a test wants it to be: it loses, mixes up and invents, by chance
//! from a seed or on demand, and keeps an account of everything that was saved.

use kronika_core::{
    Incarnation, Mark, Position, Snapshot, SnapshotError, SnapshotStore, StreamId, Version,
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// What strikes one look for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotFault {
    /// There is none.
    Lost,
    /// An older one of the stream.
    Stale,
    /// The store cannot be read.
    Unavailable,
    /// The store answers only after a minute.
    Stuck,
    /// The state's bytes are cut.
    Cut,
    /// Another state, under another schema number.
    OtherSchema,
    /// Another state, of another incarnation.
    OtherIncarnation,
    /// Another state, of this incarnation, at an event with another check.
    OtherEvent,
    /// Another state, at a version that the stream has not reached.
    Ahead,
    /// That of another stream.
    OtherStream,
}

impl SnapshotFault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Lost,
        Self::Stale,
        Self::Unavailable,
        Self::Stuck,
        Self::Cut,
        Self::OtherSchema,
        Self::OtherIncarnation,
        Self::OtherEvent,
        Self::Ahead,
        Self::OtherStream,
    ];
}

/// A store of snapshots in memory. Clones are handles on one store.
///
/// Must be used inside a tokio runtime; with a paused clock its delays cost nothing.
#[derive(Clone)]
pub struct MemorySnapshots {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    random: fastrand::Rng,
    /// For each look and each saving.
    fault_chance: f64,
    within: Duration,
    on_demand: Option<SnapshotFault>,
    /// Positions of a stream's snapshots in `saved`, oldest first.
    kept: HashMap<StreamId, Vec<usize>>,
    saved: Vec<Snapshot>,
    given: usize,
}

impl MemorySnapshots {
    /// Keeps everything, and at once.
    pub fn new() -> Self {
        Self::faulty(0, 0.0, Duration::ZERO)
    }

    /// Faults strike by chance, between 0 and 1 for each look and each saving, and each takes up to `within`.
    pub fn faulty(seed: u64, fault_chance: f64, within: Duration) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let state = State { random, fault_chance, within, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// This strikes every look from now on; `None` ends it.
    pub fn fail_loads(&self, fault: Option<SnapshotFault>) {
        self.state().on_demand = fault;
    }

    /// Everything that was to be saved, in the order of the calls.
    pub fn saved(&self) -> Vec<Snapshot> {
        self.state().saved.clone()
    }

    /// How many looks were answered with a snapshot, true or not.
    pub fn given(&self) -> usize {
        self.state().given
    }

    /// Forgets all snapshots, but not the account.
    pub fn forget(&self) {
        self.state().kept.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the store")
    }
}

impl Default for MemorySnapshots {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for MemorySnapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        let (saved, given) = (state.saved.len(), state.given);
        f.debug_struct("MemorySnapshots").field("saved", &saved).field("given", &given).finish()
    }
}

impl State {
    fn strikes(&mut self) -> bool {
        self.random.f64() < self.fault_chance
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(..=self.within.as_micros() as u64))
    }

    fn fault(&mut self) -> Option<SnapshotFault> {
        if self.on_demand.is_some() {
            return self.on_demand;
        }
        self.strikes().then(|| SnapshotFault::ALL[self.random.usize(..SnapshotFault::ALL.len())])
    }

    fn look(
        &mut self,
        stream: &StreamId,
        fault: Option<SnapshotFault>,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let kept = self.kept.get(stream).map(Vec::as_slice).unwrap_or_default();
        let Some(newest) = kept.last() else { return Ok(None) };
        let true_one = self.saved[*newest].clone();
        let older = kept[self.random.usize(..kept.len())];
        // Any state that was ever saved: it can be read, and is most likely another one.
        let other = self.saved[self.random.usize(..self.saved.len())].state.clone();
        let given = match fault {
            None | Some(SnapshotFault::Stuck) => true_one,
            Some(SnapshotFault::Lost) => return Ok(None),
            Some(SnapshotFault::Unavailable) => {
                return Err(SnapshotError::Unavailable("injected".into()));
            }
            Some(SnapshotFault::Stale) => self.saved[older].clone(),
            Some(SnapshotFault::Cut) => {
                let state = true_one.state.slice(..true_one.state.len() / 2);
                Snapshot { state, ..true_one }
            }
            Some(SnapshotFault::OtherSchema) => {
                Snapshot { schema: true_one.schema + 1, state: other, ..true_one }
            }
            Some(SnapshotFault::OtherIncarnation) => {
                let incarnation = Incarnation::new(!true_one.incarnation.get());
                Snapshot { incarnation, state: other, ..true_one }
            }
            Some(SnapshotFault::OtherEvent) => {
                let mark = Mark { check: !true_one.mark.check, ..true_one.mark };
                Snapshot { mark, state: other, ..true_one }
            }
            Some(SnapshotFault::Ahead) => {
                let version = Version::new(true_one.version.get() + 1_000_000);
                let position = Position::new(true_one.mark.position.get() + 1_000_000);
                let mark = Mark { position, ..true_one.mark };
                Snapshot { version, mark, state: other, ..true_one }
            }
            Some(SnapshotFault::OtherStream) => {
                let id = format!("not-{}", stream.id());
                let other_stream = StreamId::new(stream.aggregate_type(), &id);
                let stream = other_stream.expect("ids of tests are short");
                Snapshot { stream, state: other, ..true_one }
            }
        };
        self.given += 1;
        Ok(Some(given))
    }
}

async fn pass(delay: Duration) {
    if delay.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(delay).await;
    }
}

impl SnapshotStore for MemorySnapshots {
    async fn load(&self, stream: &StreamId) -> Result<Option<Snapshot>, SnapshotError> {
        let (fault, delay) = {
            let mut state = self.state();
            let fault = state.fault();
            let stuck = fault == Some(SnapshotFault::Stuck);
            (fault, if stuck { Duration::from_secs(60) } else { state.delay() })
        };
        pass(delay).await;
        self.state().look(stream, fault)
    }

    fn save(
        &self,
        snapshot: Snapshot,
    ) -> impl Future<Output = Result<(), SnapshotError>> + Send + use<> {
        let mut state = self.state();
        let (strikes, delay) = (state.strikes(), state.delay());
        let place = state.saved.len();
        state.saved.push(snapshot.clone());
        drop(state);
        let shared = self.state.clone();
        async move {
            pass(delay).await;
            if strikes {
                return Err(SnapshotError::LeftOut);
            }
            let mut state = shared.lock().expect("nothing panics while it holds the store");
            state.kept.entry(snapshot.stream).or_default().push(place);
            Ok(())
        }
    }
}
