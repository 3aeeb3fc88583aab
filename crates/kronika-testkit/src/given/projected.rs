//! Keyed projections without a store: events in, rows out.

use super::{NOW, codecs, show};
use kronika_core::{
    About, Aggregate, AppendHeader, AppendId, Column, Epoch, Follows, Key, On, PartitionId,
    Position, Projection, RecordedEvent, Row, StreamId, Timestamp, Value, Version,
};
use std::{collections::BTreeMap, fmt::Display, sync::Arc};

/// A projection that has seen nothing yet.
///
/// Each event goes through its codec, each row through its columns before every event, so that what a
/// table does not keep shows.
pub fn projected<P: Projection>(projection: P) -> Projected<P> {
    Projected {
        projection,
        now: NOW,
        versions: BTreeMap::new(),
        position: Position::ZERO,
        rows: BTreeMap::new(),
        kept: BTreeMap::new(),
        parked: BTreeMap::new(),
    }
}

/// A projection, and its rows after the events so far.
pub struct Projected<P: Projection> {
    projection: P,
    now: Timestamp,
    versions: BTreeMap<StreamId, Version>,
    position: Position,
    /// As read from their columns.
    rows: BTreeMap<P::Key, P::Row>,
    /// As they stay in memory.
    kept: BTreeMap<P::Key, P::Row>,
    /// With what stopped each.
    parked: BTreeMap<P::Key, String>,
}

impl<P: Projection> Projected<P> {
    /// When the next events are recorded.
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// The next event of an aggregate. A key whose fold fails is parked, and its later events wait.
    ///
    /// # Panics
    /// Where the projection does not follow the aggregate, and where a codec or a column does not keep
    /// something.
    #[track_caller]
    pub fn event<A: Aggregate>(mut self, id: impl Display, event: A::Event) -> Self
    where
        P: On<A>,
    {
        let recorded = self.record::<A>(&id.to_string(), &event);
        let about = About::of(&recorded);
        let followed = P::Follows::decode(&recorded);
        let followed =
            followed.unwrap_or_else(|| panic!("{} does not follow {}", P::NAME, A::TYPE));
        let followed = followed.unwrap_or_else(|error| {
            panic!("{} cannot be read: {}", show::event(&event), show::error(&error))
        });
        let keys = followed.keys(&self.projection, &about);
        for (index, key) in keys.iter().enumerate() {
            assert!(
                !keys[..index].contains_key(key),
                "{} names {} twice",
                show::event(&event),
                shown_key(key)
            );
            let key_again = P::Key::from_values(key.values());
            let key_again = key_again
                .unwrap_or_else(|error| unreadable(P::Key::COLUMNS, &key.values(), &error));
            assert!(
                key_again == *key,
                "the key {} does not come back from its columns",
                shown_key(key)
            );
            if self.parked.contains_key(key) {
                continue;
            }
            let mut row = self.rows.get(key).map(read_again);
            let mut kept = self.kept.remove(key);
            let folded = followed.on(&self.projection, &mut row, key, &about);
            let folded_kept = followed.on(&self.projection, &mut kept, key, &about);
            assert_eq!(
                (folded.is_ok(), row.as_ref().map(Row::values)),
                (folded_kept.is_ok(), kept.as_ref().map(Row::values)),
                "{} folds into another row of {} when it is read from its columns before: the left one",
                show::event(&event),
                shown_key(key)
            );
            match (folded, row, kept) {
                (Err(why), ..) => {
                    self.parked.insert(key.clone(), show::error(&*why));
                    self.kept.extend(self.rows.get(key).map(|row| (key.clone(), read_again(row))));
                }
                (Ok(()), Some(row), Some(kept)) => {
                    self.rows.insert(key.clone(), read_again(&row));
                    self.kept.insert(key.clone(), kept);
                }
                (Ok(()), ..) => drop(self.rows.remove(key)),
            }
        }
        self
    }

    /// All rows, by key, and no others; those of parked keys as they were before what stopped them.
    #[track_caller]
    pub fn then_rows(self, expected: impl IntoIterator<Item = (P::Key, P::Row)>) -> Self {
        let expected = expected.into_iter().map(|(key, row)| (key, row.values()));
        let expected = expected.collect::<BTreeMap<_, _>>();
        let came = self.rows.iter().map(|(key, row)| (key.clone(), row.values()));
        let came = came.collect::<BTreeMap<_, _>>();
        if came != expected {
            let (expected, came) = (shown_rows::<P>(&expected), shown_rows::<P>(&came));
            let parked = self.shown_parked();
            panic!("{} has other rows\nexpected:{expected}\ncame:{came}{parked}", P::NAME);
        }
        self
    }

    /// These keys are parked, and no others.
    #[track_caller]
    pub fn then_parked(self, expected: impl IntoIterator<Item = P::Key>) -> Self {
        let mut expected = expected.into_iter().collect::<Vec<_>>();
        expected.sort();
        if !self.parked.keys().eq(expected.iter()) {
            let expected = expected.iter().map(shown_key).collect::<Vec<_>>().join(", ");
            let parked = self.shown_parked();
            panic!("{} has parked other keys\nexpected: {expected}{parked}", P::NAME);
        }
        self
    }

    #[track_caller]
    fn record<A: Aggregate>(&mut self, id: &str, event: &A::Event) -> RecordedEvent {
        codecs::event_round_trip(event);
        let stream = StreamId::new(A::TYPE, id).unwrap_or_else(|error| panic!("{error}"));
        let version = self.versions.entry(stream.clone()).or_default();
        let expected = *version;
        *version = version.plus(1);
        self.position = self.position.plus(1);
        let append = AppendId::from_parts(self.now, self.position.get());
        let header = AppendHeader {
            id: append,
            stream,
            partition: PartitionId::default(),
            expected,
            epoch: Epoch::default(),
            time: self.now,
            command: "test".into(),
            more: None,
        };
        let new = codecs::new_event(event);
        RecordedEvent {
            position: self.position,
            version: expected.plus(1),
            id: append.event(0),
            name: new.name.into(),
            schema: new.schema,
            codec: new.codec,
            body: new.body,
            tags: new.tags,
            occurred: None,
            metadata: None,
            append: Arc::new(header),
        }
    }

    fn shown_parked(&self) -> String {
        let parked = self.parked.iter();
        let lines = parked.map(|(key, why)| format!("\nparked: {} by: {why}", shown_key(key)));
        lines.collect()
    }
}

/// So that keys, which are ordered but may not be equal by `==`, can be looked for.
trait ContainsKey<K> {
    fn contains_key(&self, key: &K) -> bool;
}

impl<K: Key> ContainsKey<K> for [K] {
    fn contains_key(&self, key: &K) -> bool {
        self.iter().any(|other| other.cmp(key).is_eq())
    }
}

/// A row as it comes back from its table.
#[track_caller]
fn read_again<R: Row>(row: &R) -> R {
    let values = row.values();
    assert_eq!(values.len(), R::COLUMNS.len(), "a row has a value for each column");
    for (column, value) in R::COLUMNS.iter().zip(&values) {
        let null = *value == Value::Null;
        assert!(column.nullable || !null, "the column {} is null, and not nullable", column.name);
    }
    let read = R::from_values(values.clone());
    let read = read.unwrap_or_else(|error| unreadable(R::COLUMNS, &values, &error));
    assert!(
        read.values() == values,
        "a row does not come back from its columns\n  written: {}\n     read: {}",
        show::columns(R::COLUMNS, &values),
        show::columns(R::COLUMNS, &read.values())
    );
    read
}

fn unreadable<T>(columns: &[Column], values: &[Value], error: &kronika_core::CodecError) -> T {
    panic!("{} cannot be read again: {}", show::columns(columns, values), show::error(error))
}

fn shown_key<K: Key>(key: &K) -> String {
    show::columns(K::COLUMNS, &key.values())
}

fn shown_rows<P: Projection>(rows: &BTreeMap<P::Key, Vec<Value>>) -> String {
    let lines = rows.iter().map(|(key, values)| {
        format!("\n  {} {}", shown_key(key), show::columns(P::Row::COLUMNS, values))
    });
    if rows.is_empty() { " no rows".into() } else { lines.collect() }
}
