//! Events as a user's type: an enum, each variant with a stable name.

use crate::codec::CodecError;

/// A fact in the past tense. By `#[derive(Event)]` on an enum that also derives `Serialize` and
/// `Deserialize`: a variant's stable name is its own in kebab case, or `#[event(name = "…")]`; its schema
/// number is 1, or `#[event(schema = 2)]`; `#[event(tag)]` on a named field makes its value a tag.
///
/// The body holds the variant's fields as JSON, without the name. Reading what was written gives the
/// same event; unknown fields are ignored, so that older builds read additions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    note = "add `#[derive(Event, Serialize, Deserialize)]` to the enum `{Self}`"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every event of the type: stable name and newest schema number.
    const KINDS: &'static [EventKind];

    /// Which of [`Event::KINDS`] this one is.
    fn kind(&self) -> &'static EventKind;

    /// Labels for reads across streams.
    fn tags(&self, add: &mut dyn FnMut(&str)) {
        let _ = add;
    }

    /// Writes the body behind what is already in `into`.
    fn encode(&self, into: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a body. [`CodecError::UnknownEvent`] is an answer of its own: a newer node may have written it.
    fn decode(name: &str, schema: u32, body: &[u8]) -> Result<Self, CodecError>;
}

/// Name and schema number of one kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKind {
    /// Stable name, in kebab case.
    pub name: &'static str,
    /// Schema number, raised when the body's shape changes in a way that old readers would misread.
    pub schema: u32,
}
