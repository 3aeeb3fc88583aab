//! The derives of Kronika: they save typing and hide no control flow.
//!
//! Each writes one impl of the trait of its name and nothing else: no hidden module, no new type, no
//! rewritten item. Use them through the facade `kronika`, which names them beside their traits; in crates
//! without the facade they stand on `kronika-core`.

mod attributes;
mod columns;
mod command;
mod crate_path;
mod event;
mod names;
mod rejection;
mod upcasts;

use columns::Role;
use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// `Event` for an enum that also derives `Serialize` and `Deserialize`: each variant is one kind of event.
///
/// - A variant's stable name is its own in kebab case; `#[event(name = "…")]` gives another, so that the
///   variant can be renamed and what is recorded stays readable.
/// - Its schema number is 1; `#[event(schema = 2, upcast(1 => lift))]` after a change that older readers
///   would misread. `lift` is a `fn(serde_json::Value) -> Lifted` from the body of schema 1 to that of 2;
///   `upcast(1)` where the body stays as it is. Each older schema has its step; those before
///   `#[event(oldest = 2)]` were never recorded.
/// - `upcast(("offered", 1) => lift)` reads an event that had another name: each of its schemas is one
///   step, the last leads to the oldest schema of the variant.
/// - A greater number than the schema's decodes to `CodecError::TooNew`, a name that is not here to
///   `CodecError::UnknownEvent`.
/// - `#[event(tag)]` on a named field makes its value a tag: as `Display` writes it, nothing for `None`,
///   each of them for a `Vec`.
///
/// ```
/// use kronika_core::Event;
/// use kronika_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// enum AuctionEvent {
///     Opened { item: String },
///     #[event(schema = 2, upcast(1))]
///     BidPlaced { #[event(tag)] bidder: String, cents: i64 },
/// }
///
/// let bid = AuctionEvent::BidPlaced { bidder: "ann".into(), cents: 500 };
/// assert_eq!((bid.kind().name, bid.kind().schema), ("bid-placed", 2));
/// bid.tags(&mut |tag| assert_eq!(tag, "ann"));
/// ```
///
/// Refused at compile time: names that are not `[a-z][a-z0-9-]*` or occur twice, missing upcasters, generics, and serde
/// attributes under which a body could not be read again by name (`tag`, `untagged`, `skip` and the like).
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    expand(event::expand(&parse_macro_input!(input as DeriveInput)))
}

/// `Command`, named after its type in kebab case; `#[command(name = "…")]` gives another stable name.
///
/// ```
/// use kronika_core::Command;
/// use kronika_macros::Command;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Command, Serialize, Deserialize, JsonSchema)]
/// struct PlaceBid { cents: i64 }
///
/// assert_eq!(PlaceBid::NAME, "place-bid");
/// ```
///
/// Its body is a JSON object, which can grow: tuple structs are refused, and a command without fields is
/// written `struct Close {}`. Names are `[a-z][a-z0-9-]*`, at most 64 bytes.
#[proc_macro_derive(Command, attributes(command))]
pub fn derive_command(input: TokenStream) -> TokenStream {
    expand(command::expand(&parse_macro_input!(input as DeriveInput)))
}

/// `Rejection` for an enum or a struct. `#[rejection(invalid)]` on a variant, or on the struct, says that
/// the command itself is wrong; all else means that the state stood against it.
///
/// ```
/// use kronika_core::{Rejection, RejectionKind};
/// use kronika_macros::Rejection;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Rejection, thiserror::Error, Serialize, Deserialize, JsonSchema, Debug)]
/// enum Refused {
///     #[error("not open")]
///     NotOpen,
///     #[error("a bid of {0} cents")]
///     #[rejection(invalid)]
///     NotPositive(i64),
/// }
///
/// assert_eq!(Refused::NotOpen.kind(), RejectionKind::Conflict);
/// assert_eq!(Refused::NotPositive(0).kind(), RejectionKind::Invalid);
/// ```
#[proc_macro_derive(Rejection, attributes(rejection))]
pub fn derive_rejection(input: TokenStream) -> TokenStream {
    expand(rejection::expand(&parse_macro_input!(input as DeriveInput)))
}

/// `Row` for a struct with named fields: each is a column, by its own name or `#[column(name = "…")]`.
///
/// ```
/// use kronika_core::{Kind, Row};
/// use kronika_macros::Row;
///
/// #[derive(Row)]
/// struct Balance { owner: String, #[column(name = "balance_cents")] cents: i64 }
///
/// assert_eq!(Balance::COLUMNS[1].name, "balance_cents");
/// assert_eq!(Balance::COLUMNS[1].kind, Kind::Integer);
/// ```
///
/// Column names are `[a-z][a-z0-9_]*`, at most 63 bytes: longer ones are cut by some databases.
#[proc_macro_derive(Row, attributes(column))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    expand(columns::expand(&parse_macro_input!(input as DeriveInput), Role::Row))
}

/// `Key` for a struct with named fields, as `Row`; none of its columns may be nullable.
///
/// ```
/// use kronika_core::Key;
/// use kronika_macros::Key;
///
/// #[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
/// struct Bidder { auction: String, bidder: String }
///
/// assert_eq!(Bidder::COLUMNS.len(), 2);
/// ```
#[proc_macro_derive(Key, attributes(column))]
pub fn derive_key(input: TokenStream) -> TokenStream {
    expand(columns::expand(&parse_macro_input!(input as DeriveInput), Role::Key))
}

fn expand(expanded: Result<proc_macro2::TokenStream, Error>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
