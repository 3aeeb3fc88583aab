//! How values look in messages: as JSON, events with their names.

use kronika_core::{Column, Command, Event, Value};
use serde::Serialize;
use std::error::Error;

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("what is no JSON ({error})"))
}

pub(super) fn command<C: Command>(command: &C) -> String {
    format!("{} {}", C::NAME, json(command))
}

pub(super) fn event<E: Event>(event: &E) -> String {
    let mut body = Vec::new();
    match event.encode(&mut body) {
        Ok(()) => format!("{} {}", event.kind().name, String::from_utf8_lossy(&body)),
        Err(error) => format!("{}, which cannot be written: {error}", event.kind().name),
    }
}

pub(super) fn events<E: Event>(events: &[E]) -> String {
    match events {
        [] => "no events".into(),
        events => events.iter().map(event).collect::<Vec<_>>().join(", "),
    }
}

/// An error with its causes, as far as its own text does not end with them.
pub(super) fn error(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// The values of a row or key by the names of their columns.
pub(super) fn columns(columns: &[Column], values: &[Value]) -> String {
    let fields = columns.iter().zip(values);
    let fields = fields.map(|(column, value)| format!("{}: {}", column.name, self::value(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(value) => json(value),
        Value::Bytes(value) => format!("{value:02x?}"),
        Value::Time(value) => format!("{value} us"),
        other => format!("{other:?}"),
    }
}
