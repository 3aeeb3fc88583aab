//! What is kept and can be built anew: states and rows, whose numbers are raised.

use crate::builds::{Compared, compared, then};
use kronika_core::{About, Aggregate, Folded, On, Projection};
use kronika_macros::{Event, Key, Row};
use kronika_testkit::{Renewal, shapes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
enum Recorded {
    Opened {},
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct State {
    cents: u64,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Grown {
    cents: u64,
    note: Option<String>,
}

/// A cart of a state and its schema.
macro_rules! cart {
    ($name:ident, $state:ty, $schema:literal) => {
        #[derive(Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        struct $name($state);

        impl Aggregate for $name {
            const TYPE: &'static str = "cart";
            const STATE_SCHEMA: u32 = $schema;
            type Id = String;
            type Event = Recorded;
            fn apply(&mut self, _: &Recorded) {}
        }
    };
}
cart!(Cart, State, 1);
cart!(GrownCart, Grown, 1);
cart!(RaisedCart, Grown, 2);

#[test]
fn a_changed_state_raises_its_schema() {
    compared::<Cart, GrownCart>().refused(&[
        "aggregate cart, state\n  note\n    before: not there\n    after:  text or null",
        "const STATE_SCHEMA: u32 = 2;",
    ]);
    compared::<GrownCart, Cart>().refused(&[
        "aggregate cart, state\n  note\n    before: text or null, or absent\n    after:  not there\n",
        "const STATE_SCHEMA: u32 = 2;",
    ]);
    compared::<Cart, RaisedCart>().renewed(&["cart: the state has schema 2, which was 1"]);
    compared::<RaisedCart, GrownCart>()
        .refused(&["STATE_SCHEMA is 1 and was 2 already", "const STATE_SCHEMA: u32 = 3;"]);
}

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Bidder {
    bidder: String,
}

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BidderOfYear {
    bidder: String,
    year: i32,
}

#[derive(Row)]
struct Sum {
    bids: i64,
    cents: i64,
}

#[derive(Row)]
struct SumOrNull {
    bids: i64,
    cents: Option<i64>,
}

#[derive(Row)]
struct Turned {
    cents: i64,
    bids: i64,
}

/// A projection of a key, a row and a generation.
macro_rules! bidders {
    ($name:ident, $key:ty, $row:ty, $generation:literal) => {
        struct $name;

        impl Projection for $name {
            const NAME: &'static str = "bidders";
            const GENERATION: u32 = $generation;
            type Key = $key;
            type Row = $row;
            type Follows = (Cart,);
        }

        impl On<Cart> for $name {
            fn keys(&self, _: &Recorded, _: &About<'_>) -> impl IntoIterator<Item = $key> {
                []
            }
            fn on(&self, _: &mut Option<$row>, _: &$key, _: &Recorded, _: &About<'_>) -> Folded {
                Ok(())
            }
        }
    };
}
bidders!(Bidders, Bidder, Sum, 1);
bidders!(OtherRow, Bidder, SumOrNull, 1);
bidders!(OtherOrder, Bidder, Turned, 1);
bidders!(OtherKey, BidderOfYear, Sum, 1);
bidders!(Raised, BidderOfYear, SumOrNull, 2);

fn projected<Before: Projection, After: Projection>() -> Compared {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shapes.lock");
    shapes(&file).projection::<Before>().check_as(Renewal::Allowed).unwrap();
    then(&file, |renewal| shapes(&file).projection::<After>().check_as(renewal))
}

#[test]
fn changed_columns_raise_the_generation() {
    let raise = "const GENERATION: u32 = 2;";
    projected::<Bidders, Bidders>().unchanged();
    projected::<Bidders, OtherRow>().refused(&[
        "projection bidders, columns\n  row: - cents: integer\n  row: + cents: integer or null\n",
        raise,
    ]);
    projected::<Bidders, OtherKey>().refused(&["  key: + year: integer\n", raise]);
    projected::<Bidders, OtherOrder>().refused(&["  row: the order is another one\n", raise]);
    projected::<Bidders, Raised>().renewed(&["bidders: has generation 2, which was 1"]);
    projected::<Raised, Bidders>()
        .refused(&["GENERATION is 1 and was 2 already", "const GENERATION: u32 = 3;"]);
}
