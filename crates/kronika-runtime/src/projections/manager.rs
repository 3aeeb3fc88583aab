//! Brings the runners of one projection's name in line with what its store says: which read models there are,
//! what they are for, and what is wished for them.

use super::{
    board::{Board, Named},
    feed::Feed,
    heads::Heads,
    orders::Orders,
    pace::Pace,
    runner::Runner,
    settings::ProjectionSettings,
    status::{ProjectionError, ProjectionState, ProjectionStatus},
};
use crate::environment::Environment;
use kronika_core::{
    BatchProjection, Generation, OpenReadModelError, ReadModel, ReadModelId, Report, SharedJournal,
    SharedReadModelStore, Stage,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};

/// What all projections of a service share.
#[derive(Clone)]
pub(super) struct Shared {
    pub journal: SharedJournal,
    pub feed: Arc<Feed>,
    pub heads: Arc<Heads>,
    pub settings: ProjectionSettings,
    pub environment: Environment,
}

/// Of one name.
pub(super) struct Manager {
    pub named: Arc<Named>,
    pub store: SharedReadModelStore,
    /// The registered handlers.
    pub handlers: BTreeMap<Generation, Box<dyn BatchProjection>>,
    pub shared: Shared,
    pub stop: watch::Receiver<bool>,
    pub running: BTreeMap<(u32, u32), Running>,
}

/// One read model.
pub(super) struct Running {
    /// `None` where this build has no handler for it.
    task: Option<JoinHandle<()>>,
    orders: watch::Sender<Orders>,
    board: Board,
    reported: Option<Reported>,
}

/// What of a status was stored last.
#[derive(PartialEq)]
struct Reported {
    state: ProjectionState,
    events: u64,
    lag_events: u64,
    error: Option<ProjectionError>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Manager {
    pub async fn run(mut self) {
        let mut pace = Pace::new(&self.shared.settings);
        let mut random = self.shared.environment.random();
        let mut reports = interval(self.shared.settings.report_every);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = true;
        loop {
            if looks {
                looks = false;
                match self.look().await {
                    Ok(()) => pace = Pace::new(&self.shared.settings),
                    Err(error) => {
                        let passes =
                            matches!(&error, OpenReadModelError::Store(fault) if fault.may_pass());
                        self.tell(error, passes);
                        if passes {
                            let wait = pace.next(&mut random);
                            let mut stop = self.stop.clone();
                            tokio::select! { biased;
                                _ = stop.wait_for(|stop| *stop) => {}
                                () = sleep(wait) => looks = true,
                            }
                        }
                    }
                }
            }
            let (named, mut stop) = (self.named.clone(), self.stop.clone());
            // An error means that whoever could stop it is gone, which is a stop too.
            let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
            tokio::select! { biased;
                _ = stopped => break,
                () = named.wake.notified() => looks = true,
                _ = reports.tick(), if !looks => self.report().await,
                () = std::future::ready(()), if looks => {}
            }
        }
        for running in self.running.values() {
            running.orders.send_modify(|orders| orders.stop = true);
        }
        for running in self.running.values_mut() {
            if let Some(task) = running.task.take()
                && let Err(error) = task.await
            {
                tracing::error!(%error, "the task of a projection did not end by itself");
            }
        }
        self.report().await;
        self.named.show(|status| {
            if !status.state.is_over() {
                status.state = ProjectionState::Stopped;
            }
        });
    }

    /// What cannot be looked at is told in the name of the projection.
    fn tell(&self, error: OpenReadModelError, passes: bool) {
        let name = self.named.shown.borrow().name.clone();
        if passes {
            tracing::warn!(projection = %name, %error, "a projection tries again");
        } else {
            tracing::error!(projection = %name, %error, "a projection does not go on");
        }
        self.named.show(|status| {
            status.state = if passes { ProjectionState::Retrying } else { ProjectionState::Failed };
            status.error = Some(error.into());
        });
    }

    /// Starts, ends and orders runners as the store says.
    async fn look(&mut self) -> Result<(), OpenReadModelError> {
        let acts = self.named.acts.load(Ordering::Relaxed);
        let mut read_models = Vec::new();
        let specs: Vec<_> = self.handlers.values().map(|it| it.spec().clone()).collect();
        for spec in specs {
            read_models = self.store.clone().begin(spec).await?;
        }
        let keys: Vec<_> = read_models.iter().map(key_of).collect();
        let gone: Vec<_> = self.running.keys().filter(|key| !keys.contains(key)).copied().collect();
        for key in gone {
            let running = self.running.remove(&key).expect("it was just seen");
            self.named.remove(running.board.id());
        }
        let heir = self.heir(&read_models);
        for mut read_model in read_models {
            read_model.wanted.switch |= heir.as_ref() == Some(&read_model.id);
            self.bring_in_line(read_model, acts);
        }
        self.named.show_live();
        Ok(())
    }

    /// Where this build has no handler for the live one, its own newest takes over as soon as it has seen as much:
    /// a read model that stands still answers nobody, and this build's queries know its own columns.
    fn heir(&self, read_models: &[ReadModel]) -> Option<ReadModelId> {
        let live = read_models.iter().find(|it| it.stage == Stage::Live)?;
        if self.handlers.contains_key(&live.id.generation) {
            return None;
        }
        let ours = read_models.iter().filter(|it| self.handlers.contains_key(&it.id.generation));
        ours.map(|it| &it.id).max_by_key(|id| (id.generation, id.run)).cloned()
    }

    fn bring_in_line(&mut self, read_model: ReadModel, acts: u64) {
        let key = key_of(&read_model);
        if self.named.is_dropping(key) {
            return;
        }
        let ReadModel { id, stage, wanted, checkpoint, .. } = read_model;
        if stage == Stage::Live {
            // Later on it is the one that switches that says so.
            self.named.set_first_live(&id);
        }
        let orders = Orders { stop: false, wanted, acts };
        let ended = |task: &JoinHandle<()>| task.is_finished();
        if let Some(running) = self.running.get(&key) {
            let is_acted = running.orders.borrow().acts != acts;
            running.orders.send_if_modified(|before| {
                // One that was told to end is not told otherwise: it begins anew once it has.
                let orders = Orders { stop: before.stop, ..orders.clone() };
                let changed = *before != orders;
                *before = orders;
                changed
            });
            let was_told = running.orders.borrow().stop;
            let again = running.task.as_ref().is_some_and(ended) && (is_acted || was_told);
            if !again {
                return;
            }
        }
        let incarnation = self.shared.journal.incarnation();
        let order = self.handlers.get(&id.generation).map(|it| it.spec().order);
        let order = order.unwrap_or_default();
        let status = ProjectionStatus::starting(&id, order, stage, incarnation);
        let (sender, receiver) = watch::channel(orders);
        self.named.order(key, sender.clone());
        let board = self.named.add(status);
        let task = match self.handlers.get(&id.generation) {
            Some(handler) => {
                let runner = self.runner(handler.another(), self.named.board(&id), receiver);
                Some(tokio::spawn(runner.run()))
            }
            None => {
                board.modify(|status| {
                    status.state = ProjectionState::Frozen;
                    if let Some(checkpoint) = checkpoint {
                        status.seen = checkpoint.seen;
                        status.events = checkpoint.events;
                    }
                });
                None
            }
        };
        self.running.insert(key, Running { task, orders: sender, board, reported: None });
    }

    fn runner(
        &self,
        projection: Box<dyn BatchProjection>,
        board: Board,
        orders: watch::Receiver<Orders>,
    ) -> Runner {
        let Shared { journal, feed, heads, settings, environment } = self.shared.clone();
        let (store, random) = (self.store.clone(), environment.random());
        Runner {
            projection,
            store,
            board,
            journal,
            feed,
            settings,
            environment,
            random,
            heads,
            orders,
            parked: BTreeMap::new(),
        }
    }

    /// Stores how each of them stands, where that has changed.
    async fn report(&mut self) {
        let now = self.shared.environment.now();
        for running in self.running.values_mut() {
            let mut status = running.board.status();
            status.measure(&self.shared.heads, now);
            let ProjectionStatus { state, events, lag_events, lag, error, .. } = status;
            let reported = Reported { state, events, lag_events, error };
            if state == ProjectionState::Starting || running.reported.as_ref() == Some(&reported) {
                continue;
            }
            let report = Report {
                at: now,
                state: state.name().to_owned(),
                lag_events,
                lag,
                events_per_second: status.events_per_second,
                error: reported.error.as_ref().map(ToString::to_string),
            };
            match self.store.report(running.board.id(), report).await {
                Ok(()) => running.reported = Some(reported),
                // Tried again with the next one.
                Err(error) => {
                    tracing::debug!(read_model = %running.board.id(), %error, "not reported");
                }
            }
        }
    }
}

fn key_of(read_model: &ReadModel) -> (u32, u32) {
    (read_model.id.generation.get(), read_model.id.run)
}
