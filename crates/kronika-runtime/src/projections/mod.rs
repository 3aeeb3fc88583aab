//! Running projections: one task for each, from the journal to its read model.
//!
//! `keyed.rs` folds rows, `runner.rs` follows the journal, `write.rs` brings a batch into the store whatever
//! the store says, `waiting.rs` waits by token. Nothing here knows a back end, and nothing polls.

mod heads;
mod kept;
mod keyed;
mod pace;
mod reading;
mod registered;
mod runner;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod waiting;
mod write;

pub use registered::{RegisteredProjection, RegistrationError};
pub use settings::ProjectionSettings;
pub use status::{ProjectionError, ProjectionState, ProjectionStatus};
pub use waiting::Waited;

use crate::environment::Environment;
use heads::Heads;
use kronika_core::{SharedJournal, SharedReadModelStore};
use runner::Runner;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};
use tokio::{sync::watch, task::JoinHandle};

/// The running projections of a service. Dropped without [`Projections::stop`], they end where they are, as
/// in a crash: rows and checkpoints stay together.
pub struct Projections {
    journal: SharedJournal,
    environment: Environment,
    heads: Arc<Heads>,
    watches: BTreeMap<String, watch::Receiver<ProjectionStatus>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    following_heads: Option<JoinHandle<()>>,
}

impl Projections {
    /// Starts a task for each, to be called inside a tokio runtime. It returns at once: what goes wrong with
    /// one projection from here on is in its status, and leaves the others alone.
    ///
    /// # Errors
    /// If two have one name, a name or a row's columns make no table, or a keyed one has no store.
    pub fn start(
        journal: SharedJournal,
        store: Option<SharedReadModelStore>,
        registered: Vec<RegisteredProjection>,
        settings: ProjectionSettings,
        environment: Environment,
    ) -> Result<Self, RegistrationError> {
        let mut projections = BTreeMap::new();
        for registered in registered {
            let projection = registered.bind(store.as_ref())?;
            let name = projection.name().clone();
            if projections.insert(name.as_str().to_owned(), projection).is_some() {
                return Err(RegistrationError::Twice(name));
            }
        }
        let (stop, stopped) = watch::channel(false);
        let heads = Arc::new(Heads::new(journal.capabilities().partitions));
        let following_heads =
            (!projections.is_empty()).then(|| tokio::spawn(heads.clone().follow(journal.clone())));
        let (mut watches, mut tasks) = (BTreeMap::new(), Vec::new());
        for (name, projection) in projections {
            let status = ProjectionStatus::starting(&*projection, journal.incarnation());
            let (status, watch) = watch::channel(status);
            watches.insert(name, watch);
            let runner = Runner {
                projection,
                journal: journal.clone(),
                settings: settings.clone(),
                random: environment.random(),
                heads: heads.clone(),
                status,
                stop: stopped.clone(),
            };
            tasks.push(tokio::spawn(runner.run()));
        }
        let tasks = Mutex::new(tasks);
        Ok(Self { journal, environment, heads, watches, stop, tasks, following_heads })
    }

    /// Names of all projections, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.watches.keys().map(String::as_str)
    }

    /// How each projection stands, in order of name, with its lag behind the journal's head.
    pub fn status(&self) -> Vec<ProjectionStatus> {
        let now = self.environment.now();
        let status = |watch: &watch::Receiver<ProjectionStatus>| {
            let mut status = watch.borrow().clone();
            status.measure(&self.heads, now);
            status
        };
        self.watches.values().map(status).collect()
    }

    /// One projection's status as something to watch. Its lag is that of the last change.
    pub fn watch(&self, name: &str) -> Option<watch::Receiver<ProjectionStatus>> {
        self.watches.get(name).cloned()
    }

    /// Waits until each projection has its tables and its checkpoint, or has said why not.
    pub async fn begun(&self) {
        for watch in self.watches.values() {
            // An error means that the task is gone, which is no reason to wait.
            let _ =
                watch.clone().wait_for(|status| status.state != ProjectionState::Starting).await;
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
