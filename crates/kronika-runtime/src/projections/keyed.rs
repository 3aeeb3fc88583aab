//! Keyed folds: the rows of a batch are loaded together, folded, and committed with the checkpoint.
//!
//! Three round trips for any batch. Keys do not depend on each other, so the events of a batch are folded key
//! by key; a failure is told of the first event in the journal's order that has one.

use super::registered::RegistrationError;
use crate::work::panic_message;
use kronika_core::{
    About, Batch, BatchError, BatchProjection, BoxFuture, Checkpoint, Column, Commit, EventFailure,
    Followed, Follows, Generation, Key, Kind, OpenReadModelError, Projection, ProjectionName,
    ReadModelId, ReadModelSpec, RecordedEvent, Row, SharedReadModelStore, StoreFault, Takeover,
    Value,
};
use std::{
    error::Error,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::task::yield_now;

/// Events after which the worker is left to others for a moment.
const TURN_EVENTS: usize = 256;

/// A keyed projection with its store.
pub(super) struct Keyed<P> {
    projection: P,
    spec: ReadModelSpec,
    store: SharedReadModelStore,
    read_model: Option<ReadModelId>,
}

/// The events of a batch, decoded, and which keys they touch.
struct Touched<P: Projection> {
    /// By place in the batch; `None` for what is of another type.
    events: Vec<Option<Box<dyn Followed<P>>>>,
    /// Key and place in the batch, in order and without repetition.
    touches: Vec<(P::Key, usize)>,
}

struct Changes {
    upserts: Vec<Vec<Value>>,
    deletes: Vec<Vec<Value>>,
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
        Ok(Self { projection, spec, store, read_model: None })
    }

    async fn touched(&self, events: &[RecordedEvent]) -> Result<Touched<P>, Box<EventFailure>> {
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

    /// Folds key by key, and gives the first event's failure if there is one.
    async fn fold(
        &self,
        events: &[RecordedEvent],
        touched: &Touched<P>,
        rows: Vec<Option<Vec<Value>>>,
    ) -> Result<Changes, BatchError> {
        let mut changes = Changes { upserts: Vec::with_capacity(rows.len()), deletes: Vec::new() };
        let mut failed: Option<(usize, Box<EventFailure>)> = None;
        let mut turn = 0;
        for (touches, stored) in chunks_by_key(&touched.touches).zip(rows) {
            turn += touches.len();
            if turn >= TURN_EVENTS {
                turn = 0;
                yield_now().await;
            }
            let key = &touches[0].0;
            let was_stored = stored.is_some();
            let mut row = stored.map(P::Row::from_values).transpose().map_err(|error| {
                let what = format!("the row of key {}: {}", text(key), causes(&error));
                StoreFault::Changed { table: self.spec.name.to_string(), what }
            })?;
            let mut at = 0;
            let folded = caught(|| {
                for &(_, place) in touches {
                    at = place;
                    let event = touched.events[place].as_ref().expect("it has touched a key");
                    event.on(&self.projection, &mut row, key, &About::of(&events[place]))?;
                }
                row.as_ref().map(|row| self.values(key, row)).transpose()
            });
            match folded {
                Ok(Some(values)) => changes.upserts.push(values),
                Ok(None) if was_stored => changes.deletes.push(key.values()),
                Ok(None) => {}
                Err(cause) if failed.as_ref().is_none_or(|(first, _)| at < *first) => {
                    let key = Some(text(key));
                    let failure = EventFailure { key, ..EventFailure::of(&events[at], cause) };
                    failed = Some((at, Box::new(failure)));
                }
                Err(_) => {}
            }
        }
        match failed {
            Some((_, failure)) => Err(BatchError::Event(failure)),
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

impl<P: Projection> BatchProjection for Keyed<P> {
    fn name(&self) -> &ProjectionName {
        &self.spec.name
    }

    fn generation(&self) -> Generation {
        self.spec.generation
    }

    fn types(&self) -> Vec<String> {
        P::Follows::types().into_iter().map(str::to_owned).collect()
    }

    fn open(
        &mut self,
        takeover: Takeover,
    ) -> BoxFuture<'_, Result<Checkpoint, OpenReadModelError>> {
        Box::pin(async move {
            let (read_model, checkpoint) = self.store.open(self.spec.clone(), takeover).await?;
            self.read_model = Some(read_model);
            Ok(checkpoint)
        })
    }

    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), BatchError>> {
        Box::pin(async move {
            let read_model = self.read_model.as_ref().expect("opened before the first batch");
            let events = batch.events();
            let touched = self.touched(events).await.map_err(BatchError::Event)?;
            let keys: Vec<_> =
                chunks_by_key(&touched.touches).map(|touches| touches[0].0.values()).collect();
            let count = keys.len();
            let rows = match count {
                0 => Vec::new(),
                _ => self.store.load(read_model, keys).await?,
            };
            assert_eq!(rows.len(), count, "a store gives a row or none for each key");
            let Changes { upserts, deletes } = self.fold(events, &touched, rows).await?;
            let Batch { partition, expected, next, .. } = batch;
            let read_model = read_model.clone();
            let commit = Commit { read_model, partition, expected, next, upserts, deletes };
            self.store.commit(Arc::new(commit)).await?;
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
