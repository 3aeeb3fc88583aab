//! Composing a service: one builder names the parts, and the store is one line of it.

use crate::{
    aggregates::Aggregates,
    commands::{Commands, DynAggregates},
    environment::Environment,
    limits::Limits,
    ownership::{Ownership, Standing},
    projections::{ProjectionSettings, Projections, RegisteredProjection, RegistrationError},
    shard::Common,
    snapshots::Snapshots,
    stats::Counters,
};
use kronika_core::{
    Aggregate, BoxFuture, ClaimError, Effects, Projection, SharedJournal, SharedReadModelStore,
    SharedSnapshotStore, Token, check_type,
};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{Semaphore, watch};

/// A running service: hands out what its parts are spoken to by. Cheap to clone.
///
/// The service ends with its last clone: commands sent after that are refused as stopping. End it with
/// [`Kronika::stop`], so that what was taken is answered.
#[derive(Clone)]
#[must_use = "the service ends when this is dropped"]
pub struct Kronika {
    inner: Arc<Inner>,
}

struct Inner {
    journal: SharedJournal,
    ownership: Arc<Ownership>,
    /// `Aggregates<A>` by the type of `A`.
    typed: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    erased: Vec<Arc<dyn DynAggregates>>,
    projections: Arc<Projections>,
    scratch: Option<MakeScratch>,
    stops: tokio::sync::Mutex<Vec<Stop>>,
}

/// Where a service keeps its events and its read models: one line of the builder.
pub trait Store {
    /// The journal.
    fn journal(&self) -> SharedJournal;
    /// Where keyed projections keep their rows; `None` where it keeps none.
    fn read_models(&self) -> Option<SharedReadModelStore>;
    /// Makes stores of read models apart from its own, to replay events into; `None`, the default, where it makes
    /// none.
    fn scratch(&self) -> Option<MakeScratch> {
        None
    }
    /// Where snapshots of aggregates are kept; `None`, the default, where it keeps none.
    fn snapshots(&self) -> Option<SharedSnapshotStore> {
        None
    }
}

/// Makes an empty store of read models in a file that is not there yet. The error is one line.
pub type MakeScratch =
    Arc<dyn Fn(PathBuf) -> BoxFuture<'static, Result<SharedReadModelStore, String>> + Send + Sync>;

type Stop = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;
type Start = Box<dyn FnOnce(Common) -> Started + Send>;

struct Started {
    key: TypeId,
    typed: Box<dyn Any + Send + Sync>,
    erased: Arc<dyn DynAggregates>,
    stop: Stop,
}

/// Names the parts of a service, see [`Kronika::builder`].
#[must_use = "nothing runs until `start`"]
pub struct Builder {
    journal: Option<SharedJournal>,
    read_models: Option<SharedReadModelStore>,
    snapshots: Option<SharedSnapshotStore>,
    scratch: Option<MakeScratch>,
    projections: Vec<RegisteredProjection>,
    projection_settings: ProjectionSettings,
    aggregates: Vec<(&'static str, Start)>,
    limits: Limits,
    environment: Environment,
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The journal cannot be claimed.
    #[error("the journal cannot be claimed for writing")]
    Claim(#[from] ClaimError),
    /// The builder was given no store.
    #[error("no store was named: call `store` with one before `start`")]
    NoStore,
    /// A limit of zero would let nothing through.
    #[error("the limit {0} is zero; it is at least 1")]
    Limit(&'static str),
    /// A projection cannot be registered.
    #[error(transparent)]
    Projection(#[from] RegistrationError),
    /// A name is registered twice, or is no name.
    #[error("{0}")]
    Registration(String),
}

impl Kronika {
    /// Begins to compose a service.
    pub fn builder() -> Builder {
        Builder {
            journal: None,
            read_models: None,
            snapshots: None,
            scratch: None,
            projections: Vec::new(),
            projection_settings: ProjectionSettings::default(),
            aggregates: Vec::new(),
            limits: Limits::default(),
            environment: Environment::real(),
        }
    }

    /// Sends commands to aggregates of a type.
    ///
    /// # Panics
    /// If the type was not registered with the builder.
    pub fn aggregates<A: Aggregate>(&self) -> Aggregates<A> {
        let typed = self.inner.typed.get(&TypeId::of::<A>());
        let typed = typed.and_then(|typed| typed.downcast_ref::<Aggregates<A>>());
        typed.unwrap_or_else(|| panic!("{} is not registered with this service", A::TYPE)).clone()
    }

    /// All aggregate types, for routers and tools.
    pub fn registered(&self) -> &[Arc<dyn DynAggregates>] {
        &self.inner.erased
    }

    /// The journal.
    pub fn journal(&self) -> &SharedJournal {
        &self.inner.journal
    }

    /// The projections: their status, and waiting for them.
    pub fn projections(&self) -> &Arc<Projections> {
        &self.inner.projections
    }

    /// What makes stores to replay events into, where the service's store can.
    pub fn scratch(&self) -> Option<&MakeScratch> {
        self.inner.scratch.as_ref()
    }

    /// Whether this process may write, as something to watch.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.ownership.standing()
    }

    /// A token that has seen nothing.
    pub fn empty_token(&self) -> Token {
        Token::new(self.inner.journal.incarnation())
    }

    /// Takes no new commands, answers what was taken, and ends. A second call waits for the first.
    pub async fn stop(&self) {
        let mut stops = self.inner.stops.lock().await;
        // All of them refuse new commands before the first is waited for.
        let ends: Vec<_> = std::mem::take(&mut *stops).into_iter().map(|stop| stop()).collect();
        for end in ends {
            end.await;
        }
        self.inner.projections.stop().await;
    }
}

impl fmt::Debug for Kronika {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.inner.erased.iter().map(|it| it.aggregate_type()).collect();
        f.debug_struct("Kronika").field("aggregates", &types).finish_non_exhaustive()
    }
}

impl Builder {
    /// Where events and read models are kept.
    pub fn store(mut self, store: impl Store) -> Self {
        self.journal = Some(store.journal());
        self.read_models = self.read_models.or_else(|| store.read_models());
        self.snapshots = self.snapshots.or_else(|| store.snapshots());
        self.scratch = store.scratch();
        self
    }

    /// A keyed projection.
    pub fn projection<P: Projection>(self, projection: P) -> Self {
        self.registered(RegisteredProjection::keyed(projection))
    }

    /// A handler that reaches out: a mail, a call. Its checkpoint is kept with the read models.
    pub fn effects<E: Effects>(self, effects: E) -> Self {
        self.registered(RegisteredProjection::effects(effects))
    }

    /// A projection of any kind, say a back end's handler of batches.
    pub fn registered(mut self, projection: RegisteredProjection) -> Self {
        self.projections.push(projection);
        self
    }

    /// Bounds of the read side.
    pub fn projection_settings(mut self, settings: ProjectionSettings) -> Self {
        self.projection_settings = settings;
        self
    }

    /// Where events are kept, without read models: for tests, and for services that only write.
    pub fn journal(mut self, journal: SharedJournal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Where keyed projections keep their rows, in place of where the store keeps them.
    pub fn read_models(mut self, read_models: SharedReadModelStore) -> Self {
        self.read_models = Some(read_models);
        self
    }

    /// Where snapshots of aggregates are kept, in place of where the store keeps them. How often they are taken
    /// is said by `Aggregate::SNAPSHOT_EVERY`, or by [`Limits::snapshot_every`] for all types.
    pub fn snapshots(mut self, snapshots: SharedSnapshotStore) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// An aggregate type with its commands.
    pub fn aggregate<A: Aggregate>(mut self, commands: Commands<A>) -> Self {
        let start = |common: Common| {
            let (registered, running) = commands.start(common);
            Started {
                key: TypeId::of::<A>(),
                typed: Box::new(registered.aggregates.clone()),
                erased: registered,
                stop: Box::new(|| Box::pin(running.stop())),
            }
        };
        self.aggregates.push((A::TYPE, Box::new(start)));
        self
    }

    /// Bounds of the write side.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Time and randomness, for simulations.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Claims the journal and starts every part.
    pub async fn start(self) -> Result<Kronika, StartError> {
        let Self { journal, read_models, projections, projection_settings, .. } = self;
        let Self { aggregates, snapshots, scratch, limits, environment, .. } = self;
        let journal = journal.ok_or(StartError::NoStore)?;
        for (index, (name, _)) in aggregates.iter().enumerate() {
            check_type(name).map_err(|error| StartError::Registration(error.to_string()))?;
            if aggregates[..index].iter().any(|(earlier, _)| earlier == name) {
                let twice = format!("two aggregate types are named {name}");
                return Err(StartError::Registration(twice));
            }
        }
        if let Some(limit) = limits.refusal() {
            return Err(StartError::Limit(limit));
        }
        let ownership = Ownership::claim(journal.clone()).await?;
        let (mut typed, mut erased, mut stops) = (HashMap::new(), Vec::new(), Vec::new());
        for (_, start) in aggregates {
            let started = start(Common {
                journal: journal.clone(),
                ownership: ownership.clone(),
                environment: environment.clone(),
                limits: limits.clone(),
                counters: Counters::default(),
                records_bodies: false,
                recoveries: Semaphore::new(limits.loadings),
                snapshots: Snapshots::new(snapshots.clone(), &*journal, &limits),
            });
            typed.insert(started.key, started.typed);
            erased.push(started.erased);
            stops.push(started.stop);
        }
        let projections = Projections::start(
            journal.clone(),
            read_models,
            projections,
            projection_settings,
            environment,
        )?;
        // A query that comes first finds its tables.
        projections.begun().await;
        let (projections, stops) = (Arc::new(projections), tokio::sync::Mutex::new(stops));
        let inner = Inner { journal, ownership, typed, erased, projections, scratch, stops };
        Ok(Kronika { inner: Arc::new(inner) })
    }
}
