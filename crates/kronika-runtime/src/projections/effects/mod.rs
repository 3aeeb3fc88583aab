//! Handlers that reach out, as their runner sees them: the effects of a batch take place, then the checkpoint is
//! committed.
//!
//! So each takes place at least once. What took place is remembered until it is behind the checkpoint, so that a
//! batch that is tried again, or in parts, repeats nothing while the process lives. `attempts.rs` tries one effect.

mod attempts;
mod remembered;

use super::registered::{Given, RegistrationError};
use attempts::Performer;
use futures_util::{StreamExt, stream};
use kronika_core::{
    Batch, BatchError, BatchProjection, Begins, BoxFuture, Commit, Decoded, Effects, EffectsOf,
    EventFailure, Generation, OpenReadModelError, Opened, Order, ProjectionName, ReadModelId,
    ReadModelSpec, RecordedEvent, SharedReadModelStore, StoreFault, StreamId, Tables, Takeover,
    Written,
};
use remembered::Remembered;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// Events in one batch: so many effects at most are repeated after a crash.
const BATCH_EVENTS_MAX: usize = 64;
/// The only generation and the only run that there ever are.
const GENERATION: Generation = Generation::new(1);
const RUN: u32 = 1;

/// A handler of effects with the store of its checkpoint.
pub(super) struct Performing<E> {
    performer: Arc<Performer<E>>,
    remembered: Arc<Mutex<Remembered>>,
    spec: ReadModelSpec,
    store: SharedReadModelStore,
}

impl<E: Effects> Performing<E> {
    pub fn new(effects: E, given: &Given<'_>) -> Result<Self, RegistrationError> {
        let name = ProjectionName::new(E::NAME)?;
        if E::ORDER == Order::Key {
            return Err(RegistrationError::NoKeys(name));
        }
        let spec = ReadModelSpec {
            name: name.clone(),
            generation: GENERATION,
            types: E::Follows::types().into_iter().map(str::to_owned).collect(),
            order: E::ORDER,
            tables: Tables::Own(Vec::new()),
        };
        let store = given.store.ok_or_else(|| RegistrationError::NoStore(name.clone()))?.clone();
        let (settings, random) = (given.settings.effects.clone(), given.environment.random());
        let performer = Performer { effects, name, settings, random: Mutex::new(random) };
        let (performer, remembered) = (Arc::new(performer), Arc::default());
        Ok(Self { performer, remembered, spec, store })
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("nothing panics under it")
    }

    fn id(&self) -> ReadModelId {
        ReadModelId { name: self.spec.name.clone(), generation: GENERATION, run: RUN }
    }

    /// The events in lanes: those of one lane wait for each other, in order.
    fn lanes<'a>(&self, events: &'a [RecordedEvent]) -> Vec<Vec<&'a RecordedEvent>> {
        if self.spec.order == Order::Total {
            return vec![events.iter().collect()];
        }
        let (mut lanes, mut places) = (Vec::<Vec<_>>::new(), HashMap::<&StreamId, usize>::new());
        for event in events {
            let place = *places.entry(event.stream()).or_insert_with(|| {
                lanes.push(Vec::new());
                lanes.len() - 1
            });
            lanes[place].push(event);
        }
        lanes
    }

    /// Lets the effects of all events take place that did not yet. Those of other streams do where one fails; the
    /// first that fails is told.
    async fn perform_all(&self, batch: &Batch) -> Result<(), BatchError> {
        let lanes = self.lanes(batch.events()).into_iter();
        let lanes: Vec<BoxFuture<'_, Option<&RecordedEvent>>> =
            lanes.map(|lane| Box::pin(self.perform_lane(lane)) as _).collect();
        let failed: Vec<_> = stream::iter(lanes)
            .buffer_unordered(self.performer.settings.streams_max.max(1))
            .collect()
            .await;
        let Some(first) = failed.into_iter().flatten().min_by_key(|event| event.position) else {
            return Ok(());
        };
        let mut remembered = self.remembered();
        let cause = remembered.cause(first.id).cloned().unwrap_or_default();
        // What comes before it is written first, and a letter that fails is left alone until its next try.
        let comes_again = batch.only.is_none() && batch.events()[0].position < first.position;
        if !comes_again {
            remembered.told(first.id);
        }
        Err(BatchError::Event(Box::new(EventFailure::of(first, cause))))
    }

    /// Gives the event at which the lane ends, if that is not its last one.
    async fn perform_lane<'a>(&self, lane: Vec<&'a RecordedEvent>) -> Option<&'a RecordedEvent> {
        for event in lane {
            let is_failed = {
                let remembered = self.remembered();
                if remembered.is_done(event.id) {
                    continue;
                }
                remembered.cause(event.id).is_some()
            };
            if is_failed {
                return Some(event);
            }
            let performed = self.performer.perform(event).await;
            let mut remembered = self.remembered();
            match performed {
                Ok(()) => remembered.done(event.id),
                Err(cause) => {
                    remembered.failed(event.id, cause);
                    return Some(event);
                }
            }
        }
        None
    }
}

impl<E: Effects> BatchProjection for Performing<E> {
    fn spec(&self) -> &ReadModelSpec {
        &self.spec
    }

    fn store(&self) -> SharedReadModelStore {
        self.store.clone()
    }

    fn another(&self) -> Box<dyn BatchProjection> {
        let (performer, remembered) = (self.performer.clone(), self.remembered.clone());
        let (spec, store) = (self.spec.clone(), self.store.clone());
        Box::new(Self { performer, remembered, spec, store })
    }

    fn open(
        &mut self,
        run: u32,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Opened, OpenReadModelError>> {
        Box::pin(async move {
            if run != RUN {
                let what = format!(
                    "{} reaches out, and another run would do again what it has done: drop run {run}",
                    self.spec.name
                );
                return Err(StoreFault::Refused(what).into());
            }
            self.remembered().forget_failures();
            // It may follow other types later: nothing that it has done becomes wrong by that.
            let spec = ReadModelSpec { types: Vec::new(), ..self.spec.clone() };
            self.store.open(spec, run, takeover).await
        })
    }

    fn batch_events_max(&self) -> Option<usize> {
        Some(BATCH_EVENTS_MAX)
    }

    fn begins_at_head(&self) -> bool {
        E::BEGINS == Begins::AtHead
    }

    fn can_be_rebuilt(&self) -> bool {
        false
    }

    fn handled_when_cut(&self, batch: &Batch) -> Option<usize> {
        Some(self.remembered().done_first(batch.events()))
    }

    fn write(
        &mut self,
        batch: Batch,
        _: Option<Decoded>,
    ) -> BoxFuture<'_, Result<Written, BatchError>> {
        Box::pin(async move {
            self.perform_all(&batch).await?;
            let commit = Commit {
                read_model: self.id(),
                partition: batch.partition,
                expected: batch.expected.clone(),
                next: batch.next.clone(),
                upserts: Vec::new(),
                deletes: Vec::new(),
                parked: batch.parked.clone(),
            };
            self.store.commit(Arc::new(commit)).await?;
            self.remembered().written(batch.events());
            // It has no rows.
            let keys = batch.tells_keys.then(Vec::new);
            Ok(Written { parked: Vec::new(), keys })
        })
    }
}
