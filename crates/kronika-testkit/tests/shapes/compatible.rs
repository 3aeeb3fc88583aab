//! Changes that may be made: the file is renewed where it lacks something, and left where nothing differs.

use kronika_core::Lifted;
use serde_json::Value;

fn lift(body: Value) -> Lifted {
    Ok(body)
}

#[test]
fn a_field_that_may_be_absent_is_added() {
    changed!([Opened { item: String }] => [Opened { item: String, note: Option<String> }])
        .renewed(&["aggregate auction, event opened, schema 1: has new fields that may be absent"]);
    changed!([Opened { item: String }] => [Opened { item: String, #[serde(default)] bids: u32 }])
        .renewed(&["has new fields"]);
    changed!([Closed] => [Closed { note: Option<String> }]).renewed(&["closed, schema 1: has new"]);
}

#[test]
fn an_event_is_added() {
    let file = changed!([Opened {}] => [Closed {}, Opened {}])
        .renewed(&["aggregate auction, event closed, schema 1: the event is new"]);
    assert!(file.contains("\"opened\""), "{file}");
}

#[test]
fn a_schema_is_added_and_the_older_one_stays_in_the_file() {
    let file = changed!(
        [Opened { cents: u64 }] =>
        [#[event(schema = 2, upcast(1 => lift))] Opened { dollars: String }]
    )
    .renewed(&["aggregate auction, event opened, schema 2: the schema is new"]);
    assert!(file.contains("cents") && file.contains("dollars"), "{file}");
}

#[test]
fn an_event_goes_on_under_another_name() {
    let file = changed!(
        [Offered { cents: u64 }] =>
        [#[event(upcast(("offered", 1) => lift))] BidPlaced { amount: u64 }]
    )
    .renewed(&["event bid-placed, schema 1: the event is new"]);
    assert!(file.contains("\"offered\""), "{file}");
    changed!([Offered { cents: u64 }] => [#[event(name = "offered")] BidPlaced { cents: u64 }])
        .unchanged();
}

mod documented {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    /// How a bid ended.
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum Kind {
        /// The bidder is told.
        Outbid,
        /// Also the seller is.
        First { by: String },
        /// Nobody is.
        Raised,
        /// All are.
        Last { at: u64 },
    }
}

mod plain {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum BidKind {
        Last { at: u64 },
        Raised,
        First { by: String },
        Outbid,
    }
}

#[test]
fn order_and_documentation_and_names_of_types_are_no_shape() {
    changed!(
        [Opened { item: String, cents: u64 }, Closed, Seen, Bid { kind: super::documented::Kind }] =>
        [
            /// The end.
            Closed,
            Bid { kind: super::plain::BidKind },
            /// The beginning.
            Opened {
                /// In cents.
                cents: u64,
                item: String,
            },
            Seen
        ]
    )
    .unchanged();
}

#[test]
fn variants_are_found_by_the_names_that_serde_has_for_them() {
    let file = changed!(
        [#[serde(rename = "o")] Opened { a: u8 }, Closed, #[serde(rename_all = "camelCase")] Bid { the_b: u8 }, Seen] =>
        [Seen, #[serde(rename = "Opened", rename_all = "camelCase")] Bid { the_b: u8 }, Closed, #[serde(rename = "x")] Opened { a: u8 },
         More { c: u8 }]
    )
    .renewed(&["event more, schema 1: the event is new"]);
    let file: Value = serde_json::from_str(&file).unwrap();
    let events = &file["aggregates"]["auction"]["events"];
    for (event, field) in [("opened", "a"), ("bid", "theB"), ("more", "c")] {
        assert!(events[event]["1"]["properties"][field].is_object(), "{event}: {events}");
    }
    for unit in ["closed", "seen"] {
        assert_eq!(events[unit]["1"], serde_json::json!({ "type": "object" }));
    }
}
