//! Running projections: a manager for each name, a task for each read model, from the journal to its store.
//!
//! `keyed/` folds rows, `effects/` reaches out, `feed.rs` reads once for all, `runner.rs` follows the journal, `write.rs` brings a batch
//! into the store whatever the store says, `manager.rs` keeps runners in line with what is wished for,
//! `waiting.rs` waits by token. Nothing here knows a back end, and nothing polls.

mod beginning;
mod board;
mod changes;
mod crew;
mod draining;
mod effects;
mod feed;
mod heads;
mod keyed;
mod manager;
mod operating;
mod orders;
mod pace;
mod reading;
mod registered;
mod replay;
mod runner;
mod settings;
mod status;
mod switching;
#[cfg(test)]
mod tests;
mod waiting;
mod write;

pub use changes::RowsChanged;
pub use registered::{RegisteredProjection, RegistrationError};
pub use replay::{ChangedRow, Replay, ReplayError, ReplayStep, ReplayTold, ReplayUntil, Replayed};
pub use settings::{EffectSettings, ProjectionSettings};
pub use status::{ProjectionError, ProjectionState, ProjectionStatus};
pub use waiting::Waited;

use crate::environment::Environment;
use board::Named;
use feed::Feed;
use heads::Heads;
use kronika_core::{
    BatchProjection, Generation, ReadModelId, SharedJournal, SharedReadModelStore, Stage, Timestamp,
};
use manager::{Manager, Shared};
use registered::Given;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
};

/// The running projections of a service. Dropped without [`Projections::stop`], they end where they are, as
/// in a crash: rows and checkpoints stay together.
pub struct Projections {
    journal: SharedJournal,
    environment: Environment,
    heads: Arc<Heads>,
    feed: Arc<Feed>,
    named: BTreeMap<String, Arc<Named>>,
    stores: BTreeMap<String, SharedReadModelStore>,
    /// The newest handler of each name, to replay events with.
    newest: Mutex<Handlers>,
    settings: ProjectionSettings,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    following_heads: Option<JoinHandle<()>>,
}

/// Handlers by name.
type Handlers = BTreeMap<String, Box<dyn BatchProjection>>;

/// The registered generations of one name.
type Generations = BTreeMap<Generation, Box<dyn BatchProjection>>;

impl Projections {
    /// Starts a task for each, to be called inside a tokio runtime. It returns at once: what goes wrong with
    /// one projection from here on is in its status, and leaves the others alone.
    ///
    /// Several generations of one name may be given: the newest is built beside the live one, which goes on.
    ///
    /// # Errors
    /// If two have one name and generation, a name or a row's columns make no table, or a keyed one has no store.
    pub fn start(
        journal: SharedJournal,
        store: Option<SharedReadModelStore>,
        registered: Vec<RegisteredProjection>,
        settings: ProjectionSettings,
        environment: Environment,
    ) -> Result<Self, RegistrationError> {
        let given = Given { store: store.as_ref(), settings: &settings, environment: &environment };
        let all = by_name(registered, &given)?;
        let (stop, stopped) = watch::channel(false);
        let heads = Arc::new(Heads::new(journal.capabilities().partitions));
        let following_heads =
            (!all.is_empty()).then(|| tokio::spawn(heads.clone().follow(journal.clone())));
        let (events, bytes) = (settings.batch_events_max, settings.batch_bytes_max);
        let feed = Arc::new(Feed::new(journal.clone(), types_of(&all), events, bytes));
        let shared = Shared {
            journal: journal.clone(),
            feed: feed.clone(),
            heads: heads.clone(),
            settings: settings.clone(),
            environment: environment.clone(),
        };
        let (mut named, mut stores, mut tasks) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut handlers_of = Handlers::new();
        for (name, handlers) in all {
            let (&generation, newest) = handlers.last_key_value().expect("one was registered");
            let store = newest.store();
            handlers_of.insert(name.clone(), newest.another());
            let id = ReadModelId { name: newest.name().clone(), generation, run: 1 };
            let starting = ProjectionStatus::starting(
                &id,
                newest.spec().order,
                Stage::Live,
                journal.incarnation(),
            );
            let of_name = Arc::new(Named::new(starting));
            let manager = Manager {
                named: of_name.clone(),
                store: store.clone(),
                handlers,
                shared: shared.clone(),
                stop: stopped.clone(),
                running: BTreeMap::new(),
            };
            tasks.push(tokio::spawn(manager.run()));
            stores.insert(name.clone(), store);
            named.insert(name, of_name);
        }
        let (tasks, newest) = (Mutex::new(tasks), Mutex::new(handlers_of));
        Ok(Self {
            journal,
            environment,
            heads,
            feed,
            named,
            stores,
            newest,
            settings,
            stop,
            tasks,
            following_heads,
        })
    }

    /// Names of all projections, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// How each projection's live read model stands, in order of name, with its lag behind the journal's head.
    pub fn status(&self) -> Vec<ProjectionStatus> {
        self.measured(self.named.values().map(|named| named.shown.borrow().clone()).collect())
    }

    /// How all read models stand, those that are building and old ones included, in order of name, generation and
    /// run.
    pub fn status_of_all(&self) -> Vec<ProjectionStatus> {
        self.measured(self.named.values().flat_map(|named| named.statuses()).collect())
    }

    fn measured(&self, mut statuses: Vec<ProjectionStatus>) -> Vec<ProjectionStatus> {
        let now = self.environment.now();
        statuses.iter_mut().for_each(|status| status.measure(&self.heads, now));
        statuses
    }

    /// The status of a projection's live read model as something to watch. Its lag is that of the last change.
    pub fn watch(&self, name: &str) -> Option<watch::Receiver<ProjectionStatus>> {
        self.named.get(name).map(|named| named.shown.subscribe())
    }

    /// The status of one read model as something to watch.
    pub fn watch_read_model(&self, id: &ReadModelId) -> Option<watch::Receiver<ProjectionStatus>> {
        self.named.get(id.name.as_str()).and_then(|named| named.watch(id))
    }

    /// Hears of the rows of a projection's live read model that change, from now on.
    pub fn changes(&self, name: &str) -> Option<broadcast::Receiver<RowsChanged>> {
        self.named.get(name).map(|named| named.changes.listen())
    }

    /// The time by the clock that statuses are measured with.
    pub fn now(&self) -> Timestamp {
        self.environment.now()
    }

    /// Whether it keeps a read model, as all do but handlers of effects.
    fn keeps_read_model(&self, name: &str) -> bool {
        let newest = self.newest.lock().expect("nothing panics under it");
        newest.get(name).is_none_or(|handler| handler.can_be_rebuilt())
    }

    /// Pages that were read from the journal for all projections, so far.
    pub fn readings(&self) -> u64 {
        self.feed.readings()
    }

    /// Waits until each projection has its tables and its checkpoint, or has said why not.
    pub async fn begun(&self) {
        for named in self.named.values() {
            let mut watch = named.shown.subscribe();
            // An error means that the task is gone, which is no reason to wait.
            let _ = watch.wait_for(|status| status.state != ProjectionState::Starting).await;
        }
    }

    /// Finishes the batches in flight and ends all projections. A second call does nothing.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("nothing panics under it"));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task of a projection did not end by itself");
            }
        }
    }
}

fn by_name(
    registered: Vec<RegisteredProjection>,
    given: &Given<'_>,
) -> Result<BTreeMap<String, Generations>, RegistrationError> {
    let mut all = BTreeMap::<String, Generations>::new();
    for registered in registered {
        let projection = registered.bind(given)?;
        let name = projection.name().clone();
        let handlers = all.entry(name.as_str().to_owned()).or_default();
        let mut others = handlers.values();
        if others.any(|other| !other.can_be_rebuilt() || !projection.can_be_rebuilt()) {
            return Err(RegistrationError::EffectsTwice(name));
        }
        let store = projection.store().identity();
        if handlers.values().any(|other| other.store().identity() != store) {
            return Err(RegistrationError::TwoStores(name));
        }
        if handlers.insert(projection.generation(), projection).is_some() {
            return Err(RegistrationError::Twice(name));
        }
    }
    Ok(all)
}

/// What any of them follows; all types if one follows all.
fn types_of(all: &BTreeMap<String, Generations>) -> Vec<String> {
    let handlers = || all.values().flat_map(BTreeMap::values);
    if handlers().any(|handler| handler.spec().types.is_empty()) {
        return Vec::new();
    }
    let mut types: Vec<_> = handlers().flat_map(|handler| handler.spec().types.clone()).collect();
    types.sort_unstable();
    types.dedup();
    types
}

impl Drop for Projections {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().map(std::mem::take).unwrap_or_default();
        tasks.into_iter().chain(self.following_heads.take()).for_each(|task| task.abort());
    }
}

impl fmt::Debug for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projections").field("status", &self.status()).finish_non_exhaustive()
    }
}
