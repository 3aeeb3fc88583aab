//! The pure part of a keyed projection: which keys events touch, and what becomes of their rows.

use super::super::crew::{Part, Progress};
use crate::work::{causes, panic_message};
use kronika_core::{
    About, BatchError, Column, EventFailure, Followed, Follows, Key, KeyText, Kind, Projection,
    ReadModelSpec, RecordedEvent, Row, StoreFault, Tables, Value,
};
use std::{
    error::Error,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

/// Events below which a batch is not divided among workers: a thread costs more.
const PART_EVENTS_MIN: usize = 256;

/// What folds: pure, and without a store.
pub(super) struct Folding<P> {
    pub projection: P,
    pub spec: ReadModelSpec,
}

/// The events of a batch, decoded, and which keys they touch.
pub(super) struct Touched<P: Projection> {
    /// By place in the batch; `None` for what is of another type.
    pub events: Vec<Option<Box<dyn Followed<P>>>>,
    /// Key and place in the batch, in order and without repetition.
    pub touches: Vec<(P::Key, usize)>,
}

pub(super) type Touching<P> = Result<Touched<P>, BatchError>;

/// What became of the rows of a batch.
pub(super) struct Outcomes<R> {
    pub upserts: Vec<Vec<Value>>,
    pub deletes: Vec<Vec<Value>>,
    /// By key, in order, with the bytes of its values; `None` where it failed.
    pub rows: Vec<Option<(Option<R>, usize)>>,
    /// Which keys failed, by their place among the touched ones: at which place of the batch, and why.
    pub failed: Vec<Failed>,
}

/// A key whose event failed.
pub(super) struct Failed {
    pub group: usize,
    pub key: KeyText,
    pub place: usize,
    pub cause: String,
}

/// What came of one key.
pub(super) enum Outcome<R> {
    Upsert(Option<R>, Vec<Value>),
    Delete(Vec<Value>),
    Nothing(Vec<Value>),
    Failed(usize, String),
}

/// What a careful fold came to: the row before the event that failed, and which one failed and why.
pub(super) type Careful<R> = (Outcome<R>, Option<(usize, String)>);

impl<P: Projection> Touched<P> {
    pub fn keys(&self) -> impl Iterator<Item = &P::Key> {
        self.groups().map(|touches| &touches[0].0)
    }

    /// The touches of each key.
    pub fn groups(&self) -> impl Iterator<Item = &[(P::Key, usize)]> {
        self.touches.chunk_by(|one, other| one.0 == other.0)
    }
}

impl<R> Outcomes<R> {
    fn with_capacity(keys: usize) -> Self {
        let rows = Vec::with_capacity(keys);
        Self { upserts: Vec::with_capacity(keys), deletes: Vec::new(), rows, failed: Vec::new() }
    }

    /// The failure of the first event in the journal's order that has one.
    pub fn first_failure(&self, events: &[RecordedEvent]) -> Box<EventFailure> {
        let first = self.failed.iter().min_by_key(|failed| failed.place);
        let first = first.expect("asked where something failed");
        let failure = EventFailure::of(&events[first.place], first.cause.clone());
        Box::new(EventFailure { key: Some(first.key.to_string()), ..failure })
    }

    /// Keys whose rows are written or taken away.
    pub fn changed_keys(&self, key_columns: usize) -> Vec<KeyText> {
        let written = self.upserts.iter().map(|row| KeyText::of(&row[..key_columns]));
        written.chain(self.deletes.iter().map(|key| KeyText::of(key))).collect()
    }

    /// One more key's; the keys come in order.
    pub fn add<K: Key>(&mut self, key: &K, outcome: Outcome<R>) {
        let group = self.rows.len();
        self.rows.push(None);
        match outcome {
            Outcome::Failed(place, cause) => {
                let key = KeyText::of(&key.values());
                self.failed.push(Failed { group, key, place, cause });
            }
            outcome => self.set(group, outcome),
        }
    }

    /// What became of a key that was there already, and has not failed.
    pub fn set(&mut self, group: usize, outcome: Outcome<R>) {
        let weigh = |values: &[Value]| values.iter().map(bytes_of).sum();
        match outcome {
            Outcome::Upsert(row, values) => {
                self.rows[group] = row.map(|row| (Some(row), weigh(&values)));
                self.upserts.push(values);
            }
            Outcome::Delete(values) => {
                self.rows[group] = Some((None, weigh(&values)));
                self.deletes.push(values);
            }
            Outcome::Nothing(values) => self.rows[group] = Some((None, weigh(&values))),
            Outcome::Failed(..) => {}
        }
    }
}

impl<P: Projection> Folding<P> {
    /// Decodes events and asks for their keys.
    pub fn touched(
        &self,
        events: &[RecordedEvent],
        workers: u16,
        progress: &Progress,
    ) -> Result<Touched<P>, Box<EventFailure>> {
        let parts = parts(events.len(), workers);
        let decode =
            |index, part: Range<usize>| self.touched_in(events, part, progress.part(index));
        let mut all = Touched { events: Vec::new(), touches: Vec::new() };
        // The first part that failed tells.
        for part in beside(parts, decode) {
            let part = part?;
            all.events.extend(part.events);
            all.touches.extend(part.touches);
        }
        all.touches.sort_unstable();
        all.touches.dedup();
        Ok(all)
    }

    fn touched_in(
        &self,
        events: &[RecordedEvent],
        part: Range<usize>,
        progress: &Part,
    ) -> Result<Touched<P>, Box<EventFailure>> {
        let mut touched = Touched { events: Vec::with_capacity(part.len()), touches: Vec::new() };
        for place in part {
            let event = &events[place];
            progress.at(place);
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
        progress.done();
        Ok(touched)
    }

    /// Folds key by key.
    pub fn fold(
        &self,
        events: &[RecordedEvent],
        touched: &Touched<P>,
        rows: Vec<Option<P::Row>>,
        workers: u16,
        progress: &Progress,
    ) -> Outcomes<P::Row> {
        let mut outcomes = Outcomes::with_capacity(rows.len());
        let fold = |part: usize, touches: &[(P::Key, usize)], row: Option<P::Row>| {
            self.fold_one(events, touched, touches, row, progress.part(part))
        };
        let parts = match parts(touched.touches.len(), workers).len() {
            // Without a list of them: most batches are one part.
            1 => {
                for (touches, row) in touched.groups().zip(rows) {
                    outcomes.add(&touches[0].0, fold(0, touches, row));
                }
                progress.part(0).done();
                return outcomes;
            }
            parts => parts,
        };
        let mut groups: Vec<_> = touched.groups().zip(rows).collect();
        let size = groups.len().div_ceil(parts).max(1);
        let mut divided = Vec::new();
        while !groups.is_empty() {
            let rest = groups.split_off(size.min(groups.len()));
            divided.push(std::mem::replace(&mut groups, rest));
        }
        let folded = beside(divided, |index, part| {
            let folded = |(touches, row): (&[(P::Key, usize)], _)| fold(index, touches, row);
            let folded: Vec<_> = part.into_iter().map(folded).collect();
            progress.part(index).done();
            folded
        });
        for (key, outcome) in touched.keys().zip(folded.into_iter().flatten()) {
            outcomes.add(key, outcome);
        }
        outcomes
    }

    fn fold_one(
        &self,
        events: &[RecordedEvent],
        touched: &Touched<P>,
        touches: &[(P::Key, usize)],
        mut row: Option<P::Row>,
        progress: &Part,
    ) -> Outcome<P::Row> {
        let key = &touches[0].0;
        let (was_stored, mut at) = (row.is_some(), 0);
        // Of all that a derived row may hold, only what is not a number fits no column.
        let has_real = P::Row::COLUMNS.iter().any(|column| column.kind == Kind::Real);
        let folded = caught(|| {
            for &(_, place) in touches {
                at = place;
                progress.at(place);
                self.on(&events[place], touched, place, key, &mut row)?;
                // Else it would depend on where a batch ends whether it is found out.
                if let Some(row) = row.as_ref().filter(|_| has_real) {
                    self.values(key, row)?;
                }
            }
            row.as_ref().map(|row| self.values(key, row)).transpose()
        });
        match folded {
            Ok(Some(values)) => Outcome::Upsert(row, values),
            Ok(None) if was_stored => Outcome::Delete(key.values()),
            Ok(None) => Outcome::Nothing(key.values()),
            Err(cause) => Outcome::Failed(at, cause),
        }
    }

    /// Folds one key's events step by step from its stored row, to find the first one that fails. Gives the row's
    /// values before that one, and which it is and why; none where no event fails this time.
    pub fn fold_carefully(
        &self,
        events: &[RecordedEvent],
        touched: &Touched<P>,
        touches: &[(P::Key, usize)],
        stored: Option<Vec<Value>>,
        progress: &Part,
    ) -> Result<Careful<P::Row>, StoreFault> {
        let key = &touches[0].0;
        let was_stored = stored.is_some();
        let mut row = self.row(key, stored)?;
        let (mut values, mut failed, mut is_changed) = (None, None, false);
        for &(_, place) in touches {
            progress.at(place);
            let folded = caught(|| {
                self.on(&events[place], touched, place, key, &mut row)?;
                row.as_ref().map(|row| self.values(key, row)).transpose()
            });
            match folded {
                Ok(folded) => (values, is_changed) = (folded, true),
                Err(cause) => {
                    failed = Some((place, cause));
                    break;
                }
            }
        }
        let outcome = match values {
            // Not kept at hand: what failed may have left it half changed.
            Some(values) => Outcome::Upsert(None, values),
            None if is_changed && was_stored => Outcome::Delete(key.values()),
            None => Outcome::Failed(0, String::new()),
        };
        Ok((outcome, failed))
    }

    fn on(
        &self,
        event: &RecordedEvent,
        touched: &Touched<P>,
        place: usize,
        key: &P::Key,
        row: &mut Option<P::Row>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let decoded = touched.events[place].as_ref().expect("it has touched a key");
        decoded.on(&self.projection, row, key, &About::of(event))
    }

    /// A row as the store has it.
    pub fn row(
        &self,
        key: &P::Key,
        stored: Option<Vec<Value>>,
    ) -> Result<Option<P::Row>, StoreFault> {
        stored.map(P::Row::from_values).transpose().map_err(|error| {
            let what = format!("the row of key {}: {}", KeyText::of(&key.values()), causes(&error));
            StoreFault::Changed { table: self.spec.name.to_string(), what }
        })
    }

    /// The row's values behind its key's, if they are what the columns say.
    fn values(
        &self,
        key: &P::Key,
        row: &P::Row,
    ) -> Result<Vec<Value>, Box<dyn Error + Send + Sync>> {
        let Tables::Keyed { key: keys, row: fields } = &self.spec.tables else {
            return Err("a keyed projection has a keyed table".into());
        };
        let mut values = key.values();
        values.reserve_exact(fields.len());
        values.extend(row.values());
        if values.len() != keys.len() + fields.len() {
            return Err(format!("{} values for the columns of a row", values.len()).into());
        }
        let columns = keys.iter().chain(fields);
        match columns.zip(&values).find(|(column, value)| !fits(column, value)) {
            Some((Column { name, .. }, value)) => {
                Err(format!("column {name} cannot hold {value:?}").into())
            }
            None => Ok(values),
        }
    }
}

/// Equal parts of so many things, at most one for each worker.
fn parts(count: usize, workers: u16) -> Vec<Range<usize>> {
    let parts = (count / PART_EVENTS_MIN).clamp(1, usize::from(workers.max(1)));
    (0..parts).map(|part| part * count / parts..(part + 1) * count / parts).collect()
}

/// Does the parts beside each other: the first on this thread, each other one on its own.
fn beside<I: Send, T: Send>(parts: Vec<I>, work: impl Fn(usize, I) -> T + Sync) -> Vec<T> {
    let mut parts = parts.into_iter().enumerate();
    let Some((_, first)) = parts.next() else { return Vec::new() };
    thread::scope(|scope| {
        let work = &work;
        let others = parts.map(|(index, part)| scope.spawn(move || work(index, part)));
        let others: Vec<_> = others.collect();
        let first = work(0, first);
        let others = others.into_iter().map(|other| other.join().expect("folds are caught"));
        std::iter::once(first).chain(others).collect()
    })
}

/// Runs users' code; an error's causes or a panic's message as one line.
fn caught<T>(code: impl FnOnce() -> Result<T, Box<dyn Error + Send + Sync>>) -> Result<T, String> {
    // What the code may have left half done is dropped with the batch.
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(result) => result.map_err(|error| causes(&*error)),
        Err(panic) => Err(format!("it panicked: {}", panic_message(&*panic))),
    }
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
