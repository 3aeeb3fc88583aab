//! Lifting what was recorded in an older shape to the shape of this build, whenever it is read.
//!
//! Nothing is ever written anew: the journal keeps what was recorded, and each reading lifts it again. A body
//! of the present schema does not come here. Integers beyond 64 bits cannot be kept by a
//! [`serde_json::Value`]: a step would see a float in their place.

use crate::{
    codec::{CodecError, decode_json, encode_json},
    event::{Event, EventKind},
};
use serde_json::Value;
use std::error::Error;

/// A body as its next schema has it, or why it cannot be had: `?` works.
pub type Lifted = Result<Value, Box<dyn Error + Send + Sync>>;

/// One step from a recorded shape towards the present one.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// What was recorded.
    pub from: EventKind,
    /// What it becomes: a schema number higher, or another event.
    pub to: EventKind,
    /// A pure function of the body; `None` where the body stays as it is.
    pub lift: Option<fn(Value) -> Lifted>,
}

/// What a recorded event of `name` and `schema` is after the steps that `E` has: itself without any.
///
/// It is one of [`Event::KINDS`], unless a step is missing.
pub fn lifts_to<E: Event>(name: &str, schema: u32) -> Option<&'static EventKind> {
    let mut found = E::KINDS.iter().find(|kind| kind.name == name && kind.schema == schema);
    let mut next = step::<E>(name, schema);
    // No step is taken twice, so that steps in a circle end.
    for _ in 0..E::UPCASTS.len() {
        let Some(upcast) = next else { break };
        found = E::KINDS.iter().find(|kind| **kind == upcast.to);
        next = step::<E>(upcast.to.name, upcast.to.schema);
    }
    found
}

fn step<E: Event>(name: &str, schema: u32) -> Option<&'static Upcast> {
    E::UPCASTS.iter().find(|upcast| upcast.from.name == name && upcast.from.schema == schema)
}

/// Reads a body that is not of a present schema: lifts it step by step, and decodes it then. Used by
/// `derive(Event)`.
#[doc(hidden)]
pub fn decode_lifted<E: Event>(name: &str, schema: u32, body: &[u8]) -> Result<E, CodecError> {
    let Some(present) = lifts_to::<E>(name, schema) else {
        return Err(unreadable::<E>(name, schema));
    };
    let mut lifted: Option<Value> = None;
    let (mut at_name, mut at_schema) = (name, schema);
    while let Some(upcast) = step::<E>(at_name, at_schema) {
        (at_name, at_schema) = (upcast.to.name, upcast.to.schema);
        let Some(lift) = upcast.lift else { continue };
        let value = match lifted.take() {
            Some(value) => value,
            None => decode_json(body)?,
        };
        lifted = Some(lift(value).map_err(|source| CodecError::Upcast {
            name: name.to_owned(),
            schema,
            step: upcast.from,
            to: upcast.to,
            source,
        })?);
    }
    let Some(lifted) = lifted else { return E::decode(present.name, present.schema, body) };
    let mut body = Vec::new();
    encode_json(&lifted, &mut body)?;
    E::decode(present.name, present.schema, &body)
}

/// Why there is no way from what was recorded to what this build knows.
fn unreadable<E: Event>(name: &str, schema: u32) -> CodecError {
    let name = name.to_owned();
    let old = E::UPCASTS.iter().map(|upcast| &upcast.from);
    let known = E::KINDS.iter().chain(old).filter(|kind| kind.name == name);
    match known.map(|kind| kind.schema).max() {
        None => CodecError::UnknownEvent { name, schema },
        Some(known) if schema > known => CodecError::TooNew { name, schema, known },
        Some(known) => CodecError::NoUpcast { name, schema, known },
    }
}
