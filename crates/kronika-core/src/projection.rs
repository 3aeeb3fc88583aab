//! The read side's easy way: rows found by a key, folded from events.
//!
//! A fold is synchronous and pure: it is tested without a store, and the runtime decides when it runs.

use crate::{
    aggregate::Aggregate,
    codec::CodecError,
    event::Event,
    ids::{EventId, Position, Timestamp, Version},
    parking::Order,
    recorded::RecordedEvent,
    stream::StreamId,
};
use std::error::Error;

/// What a fold may know of an event beside the event.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct About<'a> {
    /// The event's stream.
    pub stream: &'a StreamId,
    /// Place in the stream.
    pub version: Version,
    /// Place in the journal partition.
    pub position: Position,
    /// When it was recorded.
    pub time: Timestamp,
    /// Its identity.
    pub event: EventId,
}

impl<'a> About<'a> {
    /// For the runtime and for tests.
    pub fn new(
        stream: &'a StreamId,
        version: Version,
        position: Position,
        time: Timestamp,
        event: EventId,
    ) -> Self {
        Self { stream, version, position, time, event }
    }
    /// What is known of a recorded event.
    pub fn of(event: &'a RecordedEvent) -> Self {
        Self::new(event.stream(), event.version, event.position, event.time(), event.id)
    }
    /// The id of the aggregate that recorded it.
    pub fn id(&self) -> &'a str {
        self.stream.id()
    }
}

/// A keyed projection: a read model of one table, each row found by a key and changed by events.
///
/// With [`On`] for each aggregate type that it follows.
pub trait Projection: Send + Sync + Sized + 'static {
    /// Stable name, also that of its table: `a-z`, `0-9` and `_`, beginning with a letter.
    const NAME: &'static str;
    /// Raise when the handler or the row's shape changes: the read model is then built anew.
    const GENERATION: u32 = 1;
    /// What order it keeps, and what waits when an event fails: its key, its stream, or all.
    const ORDER: Order = Order::Key;
    /// What a row is found by, and what order is kept by.
    type Key: Key;
    /// What is kept for each key.
    type Row: Row;
    /// The aggregates whose events it handles, as a tuple: `(Auction,)`.
    type Follows: Follows<Self>;
}

/// How a projection folds the events of one aggregate type. For each type that it follows: two types may
/// well have events of one name.
pub trait On<A: Aggregate>: Projection {
    /// The keys whose rows the event touches: none, one or several.
    fn keys(&self, event: &A::Event, about: &About<'_>) -> impl IntoIterator<Item = Self::Key>;

    /// Changes one row; `None` before the key's first event, and left `None` to delete it.
    ///
    /// # Errors
    /// Any error stops the key, with this event as the cause: `?` works. It is not tried again by itself,
    /// since a pure fold gives the same answer.
    fn on(
        &self,
        row: &mut Option<Self::Row>,
        key: &Self::Key,
        event: &A::Event,
        about: &About<'_>,
    ) -> Folded;
}

/// The aggregates that a projection follows. Implemented for tuples of one to six aggregates, where the
/// projection has [`On`] for each.
#[diagnostic::on_unimplemented(
    message = "`{P}` cannot follow `{Self}`",
    note = "`Follows` is a tuple of aggregates, `(Auction,)`, and the projection implements `On` for each"
)]
pub trait Follows<P: Projection> {
    /// Their types.
    fn types() -> Vec<&'static str>;

    /// Decodes an event of one of them; `None` if it is of another type.
    fn decode(event: &RecordedEvent) -> Option<Result<Box<dyn Followed<P>>, CodecError>>;
}

/// One decoded event with its type erased, ready to be folded.
pub trait Followed<P: Projection>: Send + Sync {
    /// See [`On::keys`].
    fn keys(&self, projection: &P, about: &About<'_>) -> Vec<P::Key>;
    /// See [`On::on`].
    fn on(
        &self,
        projection: &P,
        row: &mut Option<P::Row>,
        key: &P::Key,
        about: &About<'_>,
    ) -> Folded;
}

struct Typed<A: Aggregate>(A::Event);

impl<A: Aggregate, P: On<A>> Followed<P> for Typed<A> {
    fn keys(&self, projection: &P, about: &About<'_>) -> Vec<P::Key> {
        projection.keys(&self.0, about).into_iter().collect()
    }
    fn on(
        &self,
        projection: &P,
        row: &mut Option<P::Row>,
        key: &P::Key,
        about: &About<'_>,
    ) -> Folded {
        projection.on(row, key, &self.0, about)
    }
}

fn decode_as<A: Aggregate, P: On<A>>(
    event: &RecordedEvent,
) -> Option<Result<Box<dyn Followed<P>>, CodecError>> {
    if event.stream().aggregate_type() != A::TYPE {
        return None;
    }
    let decoded = A::Event::decode(&event.name, event.schema, &event.body);
    Some(decoded.map(|decoded| Box::new(Typed::<A>(decoded)) as Box<dyn Followed<P>>))
}

macro_rules! follows {
    ($($aggregate:ident),*) => {
        impl<P: Projection, $($aggregate: Aggregate),*> Follows<P> for ($($aggregate,)*)
        where
            $(P: On<$aggregate>),*
        {
            fn types() -> Vec<&'static str> {
                vec![$($aggregate::TYPE),*]
            }
            fn decode(event: &RecordedEvent) -> Option<Result<Box<dyn Followed<P>>, CodecError>> {
                None$(.or_else(|| decode_as::<$aggregate, P>(event)))*
            }
        }
    };
}
follows!(A);
follows!(A, B);
follows!(A, B, C);
follows!(A, B, C, D);
follows!(A, B, C, D, E);
follows!(A, B, C, D, E, F);

/// What came of folding one event into one row.
pub type Folded = Result<(), Box<dyn Error + Send + Sync>>;

/// A struct whose fields are the columns of a plain table. By `#[derive(Row)]`.
pub trait Row: Sized + Send + 'static {
    /// In the order of the fields.
    const COLUMNS: &'static [Column];
    /// In the order of the columns.
    fn values(&self) -> Vec<Value>;
    /// From values in the order of the columns.
    fn from_values(values: Vec<Value>) -> Result<Self, CodecError>;
}

/// A row's primary key. By `#[derive(Key)]` on a struct with named fields; text and numbers are keys by
/// themselves, in a column named `key`. The hash of its values divides the work and is frozen.
pub trait Key: Ord + Clone + Send + Sync + 'static {
    /// In the order of the fields. None is nullable.
    const COLUMNS: &'static [Column];
    /// In the order of the columns.
    fn values(&self) -> Vec<Value>;
    /// From values in the order of the columns.
    fn from_values(values: Vec<Value>) -> Result<Self, CodecError>;
}

/// One column of a read model's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Name: `a-z`, `0-9` and `_`.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub nullable: bool,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number of 64 bits with sign.
    Integer,
    /// A floating-point number of 64 bits.
    Real,
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Time,
}

/// One value of a row.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A time.
    Time(Timestamp),
}

/// A type that fits one column. For `bool`, whole numbers, `f64`, `String`, `Vec<u8>`, [`Timestamp`], and
/// `Option` of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit a column",
    note = "columns hold bool, whole numbers, f64, String, Vec<u8>, Timestamp and Option of these; implement `ColumnValue` for other types"
)]
pub trait ColumnValue: Sized {
    /// What the column holds.
    const KIND: Kind;
    /// Whether it may be null.
    const NULLABLE: bool = false;
    /// As a value.
    fn to_value(&self) -> Value;
    /// From a value.
    fn from_value(value: Value) -> Result<Self, CodecError>;
}

fn unfit<T>(kind: Kind, value: &Value) -> Result<T, CodecError> {
    Err(CodecError::shape(format!("a column of kind {kind:?} holds {value:?}")))
}

macro_rules! whole_number {
    ($($number:ty),*) => { $(
        /// Beyond the range of `i64` a number cannot be stored: the value saturates, which a fold prevents
        /// by not counting that far.
        impl ColumnValue for $number {
            const KIND: Kind = Kind::Integer;
            fn to_value(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
            fn from_value(value: Value) -> Result<Self, CodecError> {
                match value {
                    Value::Integer(number) => Self::try_from(number).map_err(CodecError::shape),
                    other => unfit(Kind::Integer, &other),
                }
            }
        }
    )* };
}
whole_number!(u8, u16, u32, u64, i8, i16, i32, i64, usize);

macro_rules! column_value {
    ($($kind:ident: $value:ty),*) => { $(
        impl ColumnValue for $value {
            const KIND: Kind = Kind::$kind;
            fn to_value(&self) -> Value {
                Value::$kind(self.clone())
            }
            fn from_value(value: Value) -> Result<Self, CodecError> {
                match value {
                    Value::$kind(value) => Ok(value),
                    other => unfit(Kind::$kind, &other),
                }
            }
        }
    )* };
}
column_value!(Boolean: bool, Real: f64, Text: String, Bytes: Vec<u8>, Time: Timestamp);

impl<T: ColumnValue> ColumnValue for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

macro_rules! plain_key {
    ($($key:ty),*) => { $(
        impl Key for $key {
            const COLUMNS: &'static [Column] =
                &[Column { name: "key", kind: <$key as ColumnValue>::KIND, nullable: false }];
            fn values(&self) -> Vec<Value> {
                vec![self.to_value()]
            }
            fn from_values(mut values: Vec<Value>) -> Result<Self, CodecError> {
                match (values.pop(), values.is_empty()) {
                    (Some(value), true) => Self::from_value(value),
                    _ => Err(CodecError::shape("a key of one column")),
                }
            }
        }
    )* };
}
plain_key!(String, u32, i32, i64, Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_types_are_each_others_inverse() {
        fn check<T: ColumnValue + PartialEq + std::fmt::Debug>(typed: T, value: Value) {
            assert_eq!(typed.to_value(), value);
            assert_eq!(T::from_value(value).unwrap(), typed);
        }
        check(true, Value::Boolean(true));
        check(7_u32, Value::Integer(7));
        check(Some("x".to_owned()), Value::Text("x".into()));
        check(None::<i64>, Value::Null);
        check(Timestamp::new(5), Value::Time(Timestamp::new(5)));
        assert!(u8::from_value(Value::Integer(256)).is_err());
        assert!(String::from_value(Value::Null).is_err());
        assert!(String::from_values(vec![Value::Null, Value::Null]).is_err());
    }
}
