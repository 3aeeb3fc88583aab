//! What `#[derive(Command)]` and `#[derive(Rejection)]` write: a stable name, and what a refusal means.

use kronika_core::{Command, Rejection, RejectionKind};
use kronika_macros::{Command, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Command, Serialize, Deserialize, JsonSchema)]
struct PlaceBid {
    #[allow(dead_code, reason = "only the name matters")]
    cents: i64,
}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
#[command(name = "end")]
struct Close {}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by")]
enum Pay {
    Card {},
    Cash {},
}

#[test]
fn a_command_is_named_after_its_type_unless_told() {
    assert_eq!([PlaceBid::NAME, Close::NAME, Pay::NAME], ["place-bid", "end", "pay"]);
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
enum Refused {
    #[error("not open")]
    NotOpen,
    #[error("{0} cents are too few")]
    #[rejection(invalid)]
    TooFew(i64),
    #[error("{text:?} is not a name")]
    #[rejection(invalid)]
    NotAName { text: String },
}

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
#[error("full")]
struct Full;

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
#[error("malformed")]
#[rejection(invalid)]
struct Malformed;

#[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
enum AlwaysInvalid {
    #[error("empty")]
    #[rejection(invalid)]
    Empty,
}

#[test]
fn a_rejection_is_a_conflict_unless_the_command_itself_is_wrong() {
    assert_eq!(Refused::NotOpen.kind(), RejectionKind::Conflict);
    assert_eq!(Refused::TooFew(0).kind(), RejectionKind::Invalid);
    assert_eq!(Refused::NotAName { text: String::new() }.kind(), RejectionKind::Invalid);
    assert_eq!(Full.kind(), RejectionKind::Conflict);
    assert_eq!(Malformed.kind(), RejectionKind::Invalid);
    assert_eq!(AlwaysInvalid::Empty.kind(), RejectionKind::Invalid);
}
