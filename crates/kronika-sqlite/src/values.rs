//! Values of rows as SQLite keeps them: booleans as 0 and 1, times as whole microseconds.

use kronika_core::{CodecError, Column, Kind, Timestamp, Value};
use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};

/// A value to bind, without a copy.
pub(crate) struct Bound<'a>(pub &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Value::Null => ValueRef::Null,
            Value::Boolean(boolean) => ValueRef::Integer(i64::from(*boolean)),
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Time(time) => ValueRef::Integer(time.get()),
            other => {
                let text = format!("{other:?} fits no column of SQLite");
                return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
            }
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// What a column holds, by its kind; the error says what is there instead.
pub(crate) fn read(column: &Column, value: ValueRef<'_>) -> Result<Value, CodecError> {
    Ok(match (column.kind, value) {
        (_, ValueRef::Null) if column.nullable => Value::Null,
        (Kind::Boolean, ValueRef::Integer(number @ (0 | 1))) => Value::Boolean(number == 1),
        (Kind::Integer, ValueRef::Integer(number)) => Value::Integer(number),
        (Kind::Real, ValueRef::Real(real)) => Value::Real(real),
        (Kind::Text, ValueRef::Text(text)) => {
            Value::Text(std::str::from_utf8(text).map_err(CodecError::shape)?.to_owned())
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_owned()),
        (Kind::Time, ValueRef::Integer(micros)) => Value::Time(Timestamp::new(micros)),
        (kind, other) => {
            let (name, found) = (column.name, other.data_type());
            return Err(CodecError::shape(format!("column {name} of kind {kind:?} holds {found}")));
        }
    })
}

/// The type of a column that holds values of a kind.
pub(crate) fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean | Kind::Integer | Kind::Time => "INTEGER",
        Kind::Real => "REAL",
        Kind::Text => "TEXT",
        Kind::Bytes => "BLOB",
        // A kind of the future fails when a value is bound, not here.
        _ => "ANY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_bound() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let check = |kind: Kind, value: Value| {
            let column = Column { name: "c", kind, nullable: true };
            connection.execute_batch("DROP TABLE IF EXISTS t").unwrap();
            let table = format!("CREATE TABLE t (c {}) STRICT", type_of(kind));
            connection.execute_batch(&table).unwrap();
            connection.execute("INSERT INTO t VALUES (?1)", [Bound(&value)]).unwrap();
            let back = connection.query_row("SELECT c FROM t", [], |row| {
                Ok(read(&column, row.get_ref(0)?).unwrap())
            });
            assert_eq!(back.unwrap(), value, "{kind:?}");
        };
        for value in [Value::Boolean(true), Value::Boolean(false), Value::Null] {
            check(Kind::Boolean, value);
        }
        for number in [0, -1, i64::MAX, i64::MIN] {
            check(Kind::Integer, Value::Integer(number));
            check(Kind::Time, Value::Time(Timestamp::new(number)));
        }
        for real in [0.0, -0.5, f64::INFINITY, f64::MIN_POSITIVE] {
            check(Kind::Real, Value::Real(real));
        }
        for text in ["", "ü", "a\0b", "'; DROP TABLE t; --"] {
            check(Kind::Text, Value::Text(text.to_owned()));
            check(Kind::Bytes, Value::Bytes(text.as_bytes().to_owned()));
        }
    }

    #[test]
    fn what_a_column_cannot_hold_is_refused() {
        let refused = |kind, value| {
            read(&Column { name: "c", kind, nullable: false }, value).unwrap_err();
        };
        refused(Kind::Boolean, ValueRef::Integer(2));
        refused(Kind::Integer, ValueRef::Null);
        refused(Kind::Integer, ValueRef::Text(b"1"));
        refused(Kind::Text, ValueRef::Text(b"\xff"));
        refused(Kind::Real, ValueRef::Integer(1));
    }
}
