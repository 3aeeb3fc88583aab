//! Keyed folds: the rows of a batch are loaded together, folded, and committed with what is parked and the
//! checkpoint.
//!
//! Three round trips for any batch. Keys do not depend on each other, so the events of a batch are folded key
//! by key, and a key whose event fails is parked in the same transaction. `fold.rs` is pure, `parking.rs` says
//! what becomes of keys that fail.

mod fold;
mod kept;
mod parking;

use super::{
    crew::{Stuck, watched},
    registered::RegistrationError,
};
use fold::{Folding, Outcomes, Touched, Touching};
use kept::Kept;
use kronika_core::{
    Batch, BatchError, BatchProjection, BoxFuture, Commit, DecodeAhead, Decoded, Effort,
    EventFailure, Follows, Generation, Key, KeyText, OpenReadModelError, Opened, Order, Projection,
    ProjectionName, ReadModelId, ReadModelSpec, RecordedEvent, Row, SharedReadModelStore,
    StoreFault, Tables, Takeover, Value, Written,
};
use std::{collections::HashSet, mem, ops::Range, sync::Arc};

/// A keyed projection with its store.
pub(super) struct Keyed<P: Projection> {
    folding: Arc<Folding<P>>,
    store: SharedReadModelStore,
    read_model: Option<ReadModelId>,
    kept: Kept<P::Key, P::Row>,
    /// Keys that wait, where the order is by key.
    parked: HashSet<KeyText>,
}

/// A key's row before a batch: `None` if it has to be loaded, `Some(None)` if there is none.
type Known<R> = Option<Option<R>>;

impl<P: Projection> Keyed<P> {
    pub fn new(
        projection: P,
        store: Option<&SharedReadModelStore>,
    ) -> Result<Self, RegistrationError> {
        let spec = ReadModelSpec {
            name: ProjectionName::new(P::NAME)?,
            generation: Generation::new(P::GENERATION),
            types: P::Follows::types().into_iter().map(str::to_owned).collect(),
            order: P::ORDER,
            tables: Tables::Keyed { key: P::Key::COLUMNS.to_vec(), row: P::Row::COLUMNS.to_vec() },
        };
        spec.check()?;
        let store = store.ok_or_else(|| RegistrationError::NoStore(spec.name.clone()))?.clone();
        Ok(Self::of(Arc::new(Folding { projection, spec }), store))
    }

    fn of(folding: Arc<Folding<P>>, store: SharedReadModelStore) -> Self {
        let (kept, parked) = (Kept::new(), HashSet::new());
        Self { folding, store, read_model: None, kept, parked }
    }

    fn read_model(&self) -> &ReadModelId {
        self.read_model.as_ref().expect("opened before the first batch")
    }

    fn parks_keys(&self) -> bool {
        self.folding.spec.order == Order::Key
    }

    /// The rows of the touched keys, in order: those at hand, and the others from the store.
    async fn rows(
        &mut self,
        touched: &Touched<P>,
        kept: &mut Kept<P::Key, P::Row>,
    ) -> Result<Vec<Option<P::Row>>, StoreFault> {
        let known: Vec<Known<P::Row>> = touched.keys().map(|key| kept.take(key)).collect();
        let missing = touched.keys().zip(&known).filter(|(_, known)| known.is_none());
        let missing: Vec<_> = missing.map(|(key, _)| key.values()).collect();
        let mut loaded = self.load(missing).await?.into_iter();
        let row = |(key, known): (&P::Key, Known<P::Row>)| match known {
            Some(row) => Ok(row),
            None => self.folding.row(key, loaded.next().flatten()),
        };
        touched.keys().zip(known).map(row).collect()
    }

    async fn load(&mut self, keys: Vec<Vec<Value>>) -> Result<Vec<Option<Vec<Value>>>, StoreFault> {
        let count = keys.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let loaded = self.store.load(self.read_model(), keys).await?;
        assert_eq!(loaded.len(), count, "a store gives a row or none for each key");
        Ok(loaded)
    }

    /// What the batch's events touch, as it was decoded ahead or is decoded now.
    async fn touched(
        &mut self,
        batch: &Batch,
        decoded: Option<Decoded>,
    ) -> Result<Touched<P>, BatchError> {
        let decoded = decoded.and_then(|decoded| decoded.downcast::<Touching<P>>().ok());
        let touching = match decoded {
            Some(touching) => *touching,
            None => {
                let (events, range) = batch.shared();
                decode(self.folding.clone(), events.clone(), range, batch.effort).await
            }
        };
        let touched = touching?;
        assert_eq!(touched.events.len(), batch.events().len(), "they were decoded from this batch");
        Ok(touched)
    }

    /// Folds on a thread for blocking work.
    async fn fold(
        &mut self,
        batch: &Batch,
        touched: Arc<Touched<P>>,
        rows: Vec<Option<P::Row>>,
    ) -> Result<Outcomes<P::Row>, BatchError> {
        let (folding, (events, range)) = (self.folding.clone(), batch.shared());
        let (events, workers) = (events.clone(), batch.effort.workers);
        let folded = watched(batch.effort.event_time_max, move |progress| {
            folding.fold(&events[range], &touched, rows, workers, progress)
        });
        folded.await.map_err(|stuck| stuck_at(batch.events(), batch.effort, stuck))
    }
}

async fn decode<P: Projection>(
    folding: Arc<Folding<P>>,
    events: Arc<Vec<RecordedEvent>>,
    range: Range<usize>,
    effort: Effort,
) -> Touching<P> {
    let (shared, part) = (events.clone(), range.clone());
    let decoded = watched(effort.event_time_max, move |progress| {
        folding.touched(&shared[part], effort.workers, progress)
    });
    match decoded.await {
        Ok(touched) => touched.map_err(BatchError::Event),
        Err(stuck) => Err(stuck_at(&events[range], effort, stuck)),
    }
}

fn stuck_at(events: &[RecordedEvent], effort: Effort, Stuck(place): Stuck) -> BatchError {
    let failure = Box::new(EventFailure::of(&events[place], "its handler does not end"));
    BatchError::Stuck { failure, time_max: effort.event_time_max }
}

/// Owns the fold, so that it can go to another thread.
struct Ahead<P: Projection>(Arc<Folding<P>>);

impl<P: Projection> DecodeAhead for Ahead<P> {
    fn decode(&self, events: Arc<Vec<RecordedEvent>>, effort: Effort) -> BoxFuture<'_, Decoded> {
        let range = 0..events.len();
        let decoded = decode(self.0.clone(), events, range, effort);
        Box::pin(async move { Box::new(decoded.await) as Decoded })
    }
}

impl<P: Projection> BatchProjection for Keyed<P> {
    fn spec(&self) -> &ReadModelSpec {
        &self.folding.spec
    }

    fn store(&self) -> SharedReadModelStore {
        self.store.clone()
    }

    fn another(&self) -> Box<dyn BatchProjection> {
        Box::new(Self::of(self.folding.clone(), self.store.clone()))
    }

    fn another_in(&self, store: SharedReadModelStore) -> Option<Box<dyn BatchProjection>> {
        Some(Box::new(Self::of(self.folding.clone(), store)))
    }

    fn open(
        &mut self,
        run: u32,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Opened, OpenReadModelError>> {
        Box::pin(async move {
            let spec = self.folding.spec.clone();
            let (name, generation) = (spec.name.clone(), spec.generation);
            let opened = self.store.open(spec, run, takeover).await?;
            self.read_model = Some(ReadModelId { name, generation, run });
            self.parked = opened.parked.iter().map(|parked| parked.key.clone()).collect();
            Ok(opened)
        })
    }

    fn decoder(&self) -> Option<Arc<dyn DecodeAhead>> {
        Some(Arc::new(Ahead(self.folding.clone())))
    }

    fn write(
        &mut self,
        batch: Batch,
        decoded: Option<Decoded>,
    ) -> BoxFuture<'_, Result<Written, BatchError>> {
        Box::pin(async move {
            let mut touched = self.touched(&batch, decoded).await?;
            let mut parked = self.hold(&batch, &mut touched);
            let touched = Arc::new(touched);
            // Put back at the end: whatever fails on the way, the rows at hand are then forgotten.
            let mut kept = mem::replace(&mut self.kept, Kept::new());
            let rows = self.rows(&touched, &mut kept).await?;
            let mut outcomes = self.fold(&batch, touched.clone(), rows).await?;
            if !outcomes.failed.is_empty() {
                if !self.parks_keys() || batch.only.is_some() {
                    return Err(BatchError::Event(outcomes.first_failure(batch.events())));
                }
                parked.extend(self.park(&batch, &touched, &mut outcomes).await?);
            }
            let keys = batch.tells_keys.then(|| outcomes.changed_keys(P::Key::COLUMNS.len()));
            let Outcomes { upserts, deletes, rows, .. } = outcomes;
            let read_model = self.read_model().clone();
            let Batch { partition, expected, next, parked: mut changes, .. } = batch;
            changes.extend(parked.iter().cloned());
            let commit =
                Commit { read_model, partition, expected, next, upserts, deletes, parked: changes };
            // The store is at work from the first poll on: what is left to do here is done meanwhile.
            let commit = Arc::new(commit);
            let committing = self.store.commit(commit.clone());
            let keep = async {
                for (key, row) in touched.keys().zip(rows) {
                    if let Some((row, bytes)) = row {
                        kept.put(key, row, bytes);
                    }
                }
                drop(touched);
                kept
            };
            let (committed, kept) = tokio::join!(committing, keep);
            committed?;
            self.kept = kept;
            self.note(&commit.parked);
            Ok(Written { parked, keys })
        })
    }
}
