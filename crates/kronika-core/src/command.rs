//! Commands and refusals: what goes over a wire to an aggregate and comes back.

use crate::codec::CodecError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::error::Error;

/// What goes over a wire: serde both ways, and a JSON schema for OpenAPI, typed clients and the lock
/// file of shapes. Implemented for every type that fits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go over a wire",
    note = "derive `Serialize`, `Deserialize` and `schemars::JsonSchema` for `{Self}`"
)]
pub trait Shape: Serialize + DeserializeOwned + schemars::JsonSchema + Send + 'static {}
impl<T: Serialize + DeserializeOwned + schemars::JsonSchema + Send + 'static> Shape for T {}

/// A request to an aggregate. By `#[derive(Command)]`, which names it after its type in kebab case;
/// `#[command(name = "…")]` gives another name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    note = "add `#[derive(Command, Serialize, Deserialize, JsonSchema)]` to `{Self}`"
)]
pub trait Command: Shape + Sync {
    /// Stable name, under which routes, timers, process managers and other nodes know it.
    const NAME: &'static str;
}

/// A typed refusal. By `#[derive(Rejection)]`; `#[rejection(invalid)]` on a variant (or on a struct) says
/// that the command itself is wrong, not the state that it met.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rejection",
    note = "add `#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]`, or use `Never`"
)]
pub trait Rejection: Error + Shape {
    /// Whether the state stood against the command, or the command is wrong in itself.
    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }
}

/// What a client should think of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RejectionKind {
    /// The state stood against it (over HTTP: 409). Another time it may be accepted.
    Conflict,
    /// The command itself is wrong (over HTTP: 422). It will never be accepted.
    Invalid,
}

/// The rejection of a command that never refuses.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, thiserror::Error,
)]
pub enum Never {}
impl Rejection for Never {}

/// The rejection, unless the condition holds: `ensure(self.open, Refused::NotOpen)?`.
pub fn ensure<E>(holds: bool, otherwise: E) -> Result<(), E> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Sorted keys, nulls left out: the form in which a command from Rust is fingerprinted, so that a new
/// optional field does not make an honest repeat look like another command.
pub fn canonical_json(value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    match serde_json::to_value(value) {
        Ok(mut tree) => {
            without_nulls(&mut tree);
            crate::codec::encode_json(&tree, &mut bytes)?;
        }
        // A number beyond 64 bits has a text but no tree: as it is written, then.
        Err(_) => crate::codec::encode_json(value, &mut bytes)?,
    }
    Ok(bytes)
}

fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
            fields.sort_keys();
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_sorts_keys_and_leaves_nulls_out() {
        let value = serde_json::json!({"b": 1, "a": {"y": null, "x": [null, {"n": null}]}});
        assert_eq!(canonical_json(&value).unwrap(), br#"{"a":{"x":[null,{}]},"b":1}"#);
    }
}
