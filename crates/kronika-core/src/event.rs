//! Events as a user's type: an enum, each variant with a stable name.

use crate::{codec::CodecError, upcast::Upcast};

/// A fact in the past tense. By `#[derive(Event)]` on an enum that also derives `Serialize` and
/// `Deserialize`: a variant's stable name is its own in kebab case, or `#[event(name = "…")]`; its schema
/// number is 1, or `#[event(schema = 2)]`; `#[event(tag)]` on a named field makes its value a tag.
///
/// The body holds the variant's fields as JSON, without the name. Reading what was written gives the
/// same event; unknown fields are ignored, so that older builds read additions.
///
/// # Older shapes
///
/// What is recorded stays as it is, and is lifted each time that it is read: by one pure function for each step,
/// on the body as JSON, declared beside the variant that it leads to. A step from a schema number leads to the
/// next; one from another event, by its name, to the oldest schema of this one. Left without a function, the
/// body stays as it is. A step that is missing does not compile.
///
/// ```
/// # use kronika_core::{CodecError, Event, Lifted};
/// # use kronika_macros::Event;
/// # use serde::{Deserialize, Serialize};
/// use serde_json::Value;
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// enum AuctionEvent {
///     // Schema 1 had `amount` in whole dollars, schema 2 `cents`; before, it was recorded as "offered".
///     #[event(schema = 2, upcast(1 => dollars_to_cents, ("offered", 1)))]
///     BidPlaced { cents: u64 },
/// }
///
/// fn dollars_to_cents(mut body: Value) -> Lifted {
///     let amount = body["amount"].as_u64().ok_or("amount is not a whole number")?;
///     body["cents"] = amount.checked_mul(100).ok_or("amount is too large")?.into();
///     Ok(body)
/// }
///
/// let bid = AuctionEvent::BidPlaced { cents: 500 };
/// for (name, schema, body) in [
///     ("bid-placed", 2, r#"{"cents":500}"#),
///     ("bid-placed", 1, r#"{"amount":5}"#),
///     ("offered", 1, r#"{"amount":5}"#),
/// ] {
///     assert_eq!(AuctionEvent::decode(name, schema, body.as_bytes()).unwrap(), bid);
/// }
/// assert!(AuctionEvent::decode("bid-placed", 3, b"{}").unwrap_err().is_too_new());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    note = "add `#[derive(Event, Serialize, Deserialize)]` to the enum `{Self}`"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every event of the type: stable name and newest schema number.
    const KINDS: &'static [EventKind];

    /// The steps from older shapes to those of [`Event::KINDS`].
    const UPCASTS: &'static [Upcast] = &[];

    /// Which of [`Event::KINDS`] this one is.
    fn kind(&self) -> &'static EventKind;

    /// Labels for reads across streams.
    fn tags(&self, add: &mut dyn FnMut(&str)) {
        let _ = add;
    }

    /// Writes the body behind what is already in `into`.
    fn encode(&self, into: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a body, lifted first where it is of an older shape. [`CodecError::is_too_new`] is an answer of its
    /// own: a newer node may have written it.
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
