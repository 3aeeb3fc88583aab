//! Keyed folds: the rows of a batch are loaded together, folded, and committed with the checkpoint.
//!
//! Three round trips for any batch. Keys do not depend on each other, so the events of a batch are folded key
//! by key; a failure is told of the first event in the journal's order that has one.

use super::{kept::Kept, registered::RegistrationError};
use crate::work::panic_message;
use kronika_core::{
    About, Batch, BatchError, BatchProjection, BoxFuture, Checkpoint, Column, Commit, DecodeAhead,
    Decoded, EventFailure, Followed, Follows, Generation, Key, Kind, OpenReadModelError,
    Projection, ProjectionName, ReadModelId, ReadModelSpec, RecordedEvent, Row,
    SharedReadModelStore, StoreFault, Takeover, Value,
};
use std::{
    error::Error,
    fmt::Write,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::task::yield_now;

/// Events after which the worker is left to others for a moment.
const TURN_EVENTS: usize = 256;

/// A keyed projection with its store.
pub(super) struct Keyed<P: Projection> {
    folding: Arc<Folding<P>>,
    store: SharedReadModelStore,
    read_model: Option<ReadModelId>,
    kept: Kept<P::Key, P::Row>,
}

/// What folds: pure, and without a store.
struct Folding<P> {
    projection: P,
    spec: ReadModelSpec,
}

/// The events of a batch, decoded, and which keys they touch.
struct Touched<P: Projection> {
    /// By place in the batch; `None` for what is of another type.
    events: Vec<Option<Box<dyn Followed<P>>>>,
    /// Key and place in the batch, in order and without repetition.
    touches: Vec<(P::Key, usize)>,
}

type Touching<P> = Result<Touched<P>, Box<EventFailure>>;

/// A key's row before a batch: `None` if it has to be loaded, `Some(None)` if there is none.
type Known<R> = Option<Option<R>>;

/// What became of the rows of a batch.
struct Changes<R> {
    upserts: Vec<Vec<Value>>,
    deletes: Vec<Vec<Value>>,
    /// By key, in order, with the bytes of its values.
    rows: Vec<(Option<R>, usize)>,
}

impl<P: Projection> Keyed<P> {
    pub fn new(
        projection: P,
        store: Option<&SharedReadModelStore>,
    ) -> Result<Self, RegistrationError> {
        let spec = ReadModelSpec {
            name: ProjectionName::new(P::NAME)?,
            generation: Generation::new(P::GENERATION),
            key: P::Key::COLUMNS.to_vec(),
            row: P::Row::COLUMNS.to_vec(),
        };
        spec.check()?;
        let store = store.ok_or_else(|| RegistrationError::NoStore(spec.name.clone()))?.clone();
        let folding = Arc::new(Folding { projection, spec });
        Ok(Self { folding, store, read_model: None, kept: Kept::new() })
    }

    /// The rows of the touched keys, in order: those at hand, and the others from the store.
    async fn rows(
        &mut self,
        touched: &Touched<P>,
        kept: &mut Kept<P::Key, P::Row>,
    ) -> Result<Vec<Option<P::Row>>, StoreFault> {
        let read_model = self.read_model.as_ref().expect("opened before the first batch");
        let keys = || chunks_by_key(&touched.touches).map(|touches| &touches[0].0);
        let known: Vec<Known<P::Row>> = keys().map(|key| kept.take(key)).collect();
        let missing = keys().zip(&known).filter(|(_, known)| known.is_none());
        let missing: Vec<_> = missing.map(|(key, _)| key.values()).collect();
        let count = missing.len();
        let loaded = match count {
            0 => Vec::new(),
            _ => self.store.load(read_model, missing).await?,
        };
        assert_eq!(loaded.len(), count, "a store gives a row or none for each key");
        let mut loaded = loaded.into_iter();
        let row = |(key, known): (&P::Key, Known<P::Row>)| match known {
            Some(row) => Ok(row),
            None => self.folding.row(key, loaded.next().flatten()),
        };
        keys().zip(known).map(row).collect()
    }
}

impl<P: Projection> Folding<P> {
    async fn touched(&self, events: &[RecordedEvent]) -> Touching<P> {
        let mut touched = Touched { events: Vec::with_capacity(events.len()), touches: Vec::new() };
        for (place, event) in events.iter().enumerate() {
            if place % TURN_EVENTS == TURN_EVENTS - 1 {
                yield_now().await;
            }
            let decoded = caught(|| {
                let Some(decoded) = P::Follows::decode(event).transpose()? else { return Ok(None) };
                let keys = decoded.keys(&self.projection, &About::of(event));
                Ok(Some((decoded, keys)))
            });
            let decoded = decoded.map_err(|cause| Box::new(EventFailure::of(event, cause)))?;
            let (decoded, keys) = decoded.unzip();
            touched.events.push(decoded);
            touched.touches.extend(keys.into_iter().flatten().map(|key| (key, place)));
        }
        touched.touches.sort_unstable();
        touched.touches.dedup();
        Ok(touched)
    }

    /// A row as the store has it.
    fn row(&self, key: &P::Key, stored: Option<Vec<Value>>) -> Result<Option<P::Row>, StoreFault> {
        stored.map(P::Row::from_values).transpose().map_err(|error| {
            let what = format!("the row of key {}: {}", text(key), causes(&error));
            StoreFault::Changed { table: self.spec.name.to_string(), what }
        })
    }

    /// Folds key by key, and gives the first event's failure if there is one.
    async fn fold(
        &self,
        events: &[RecordedEvent],
        touched: &Touched<P>,
        rows: Vec<Option<P::Row>>,
    ) -> Result<Changes<P::Row>, Box<EventFailure>> {
        let mut changes = Changes {
            upserts: Vec::with_capacity(rows.len()),
            deletes: Vec::new(),
            rows: Vec::with_capacity(rows.len()),
        };
        let mut failed: Option<(usize, Box<EventFailure>)> = None;
        let mut turn = 0;
        for (touches, mut row) in chunks_by_key(&touched.touches).zip(rows) {
            turn += touches.len();
            if turn >= TURN_EVENTS {
                turn = 0;
                yield_now().await;
            }
            let key = &touches[0].0;
            let (was_stored, mut at) = (row.is_some(), 0);
            let folded = caught(|| {
                for &(_, place) in touches {
                    at = place;
                    let event = touched.events[place].as_ref().expect("it has touched a key");
                    event.on(&self.projection, &mut row, key, &About::of(&events[place]))?;
                }
                row.as_ref().map(|row| self.values(key, row)).transpose()
            });
            match folded {
                Ok(Some(values)) => {
                    changes.rows.push((row, values.iter().map(bytes_of).sum()));
                    changes.upserts.push(values);
                }
                Ok(None) => {
                    let values = key.values();
                    changes.rows.push((None, values.iter().map(bytes_of).sum()));
                    if was_stored {
                        changes.deletes.push(values);
                    }
                }
                Err(cause) if failed.as_ref().is_none_or(|(first, _)| at < *first) => {
                    let key = Some(text(key));
                    let failure = EventFailure { key, ..EventFailure::of(&events[at], cause) };
                    failed = Some((at, Box::new(failure)));
                }
                Err(_) => {}
            }
        }
        match failed {
            Some((_, failure)) => Err(failure),
            None => Ok(changes),
        }
    }

    /// The row's values behind its key's, if they are what the columns say.
    fn values(
        &self,
        key: &P::Key,
        row: &P::Row,
    ) -> Result<Vec<Value>, Box<dyn Error + Send + Sync>> {
        let mut values = key.values();
        values.reserve_exact(self.spec.row.len());
        values.extend(row.values());
        let columns = self.spec.key.iter().chain(&self.spec.row);
        if values.len() != self.spec.key.len() + self.spec.row.len() {
            return Err(format!("{} values for the columns of a row", values.len()).into());
        }
        match columns.zip(&values).find(|(column, value)| !fits(column, value)) {
            Some((Column { name, .. }, value)) => {
                Err(format!("column {name} cannot hold {value:?}").into())
            }
            None => Ok(values),
        }
    }
}

impl<P: Projection> DecodeAhead for Folding<P> {
    fn decode<'a>(&'a self, events: &'a [RecordedEvent]) -> BoxFuture<'a, Decoded> {
        Box::pin(async move { Box::new(self.touched(events).await) as Decoded })
    }
}

impl<P: Projection> BatchProjection for Keyed<P> {
    fn name(&self) -> &ProjectionName {
        &self.folding.spec.name
    }

    fn generation(&self) -> Generation {
        self.folding.spec.generation
    }

    fn types(&self) -> Vec<String> {
        P::Follows::types().into_iter().map(str::to_owned).collect()
    }

    fn open(
        &mut self,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Checkpoint, OpenReadModelError>> {
        Box::pin(async move {
            let (read_model, checkpoint) =
                self.store.open(self.folding.spec.clone(), takeover).await?;
            self.read_model = Some(read_model);
            Ok(checkpoint)
        })
    }

    fn decoder(&self) -> Option<Arc<dyn DecodeAhead>> {
        Some(self.folding.clone())
    }

    fn write(
        &mut self,
        batch: Batch,
        decoded: Option<Decoded>,
    ) -> BoxFuture<'_, Result<(), BatchError>> {
        Box::pin(async move {
            let events = batch.events();
            let decoded = decoded.and_then(|decoded| decoded.downcast::<Touching<P>>().ok());
            let touched = match decoded {
                Some(touched) => *touched,
                None => self.folding.touched(events).await,
            };
            let touched = touched.map_err(BatchError::Event)?;
            assert_eq!(touched.events.len(), events.len(), "they were decoded from this batch");
            // Put back at the end: whatever fails on the way, the rows at hand are then forgotten.
            let mut kept = mem::replace(&mut self.kept, Kept::new());
            let rows = self.rows(&touched, &mut kept).await?;
            let folded = self.folding.fold(events, &touched, rows).await;
            let Changes { upserts, deletes, rows } = folded.map_err(BatchError::Event)?;
            let read_model = self.read_model.clone().expect("opened before the first batch");
            let Batch { partition, expected, next, .. } = batch;
            let commit = Commit { read_model, partition, expected, next, upserts, deletes };
            // The store is at work from the first poll on: what is left to do here is done meanwhile.
            let commit = self.store.commit(Arc::new(commit));
            let keep = async {
                for (touches, (row, bytes)) in chunks_by_key(&touched.touches).zip(rows) {
                    kept.put(&touches[0].0, row, bytes);
                }
                drop(touched);
                kept
            };
            let (committed, kept) = tokio::join!(commit, keep);
            committed?;
            self.kept = kept;
            Ok(())
        })
    }
}

fn chunks_by_key<K: PartialEq>(touches: &[(K, usize)]) -> impl Iterator<Item = &[(K, usize)]> {
    touches.chunk_by(|one, other| one.0 == other.0)
}

/// Runs users' code; an error's causes or a panic's message as one line.
fn caught<T>(code: impl FnOnce() -> Result<T, Box<dyn Error + Send + Sync>>) -> Result<T, String> {
    // What the code may have left half done is dropped with the batch.
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(result) => result.map_err(|error| causes(&*error)),
        Err(panic) => Err(format!("it panicked: {}", panic_message(&*panic))),
    }
}

/// An error with its causes, in one line.
fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            write!(line, ": {text}").expect("a string takes everything");
        }
        cause = error.source();
    }
    line
}

/// A key as an operator reads it: its values with `/` between them.
fn text(key: &impl Key) -> String {
    let value = |value: Value| match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Time(time) => time.to_string(),
        other => format!("{other:?}"),
    };
    key.values().into_iter().map(value).collect::<Vec<_>>().join("/")
}

fn fits(column: &Column, value: &Value) -> bool {
    match value {
        Value::Null => column.nullable,
        Value::Boolean(_) => column.kind == Kind::Boolean,
        Value::Integer(_) => column.kind == Kind::Integer,
        // No store keeps what is not a number as a number.
        Value::Real(real) => column.kind == Kind::Real && !real.is_nan(),
        Value::Text(_) => column.kind == Kind::Text,
        Value::Bytes(_) => column.kind == Kind::Bytes,
        Value::Time(_) => column.kind == Kind::Time,
        _ => false,
    }
}

/// What a value takes in memory, about.
fn bytes_of(value: &Value) -> usize {
    let beside = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    size_of::<Value>() + beside
}
