//! What was recorded in an older shape is read as the present one, and what cannot be is named.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use kronika_core::{CodecError, Event, EventKind, Lifted, lifts_to};
use kronika_macros::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A bid's way: `offered` of two schemas, renamed to `bid`, which has come to its third.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
enum AuctionEvent {
    #[event(
        name = "bid",
        schema = 3,
        upcast(1 => to_cents, 2 => split_name, ("offered", 1), ("offered", 2) => offered_to_bid),
    )]
    BidPlaced { first_name: String, last_name: String, cents: u64 },
    #[event(upcast(("cancelled", 1) => cancelled_to_closed))]
    Closed { sold: bool },
    #[event(schema = 5, oldest = 4, upcast(4))]
    Moved(u32),
}

fn to_cents(mut body: Value) -> Lifted {
    let dollars = body["dollars"].as_u64().ok_or("dollars is not a whole number")?;
    body["cents"] = json!(dollars * 100);
    Ok(body)
}

fn split_name(mut body: Value) -> Lifted {
    let bidder = body["bidder"].as_str().ok_or("bidder is not a text")?.to_owned();
    let (first, last) = bidder.split_once(' ').ok_or("bidder is one word")?;
    body["first_name"] = json!(first);
    body["last_name"] = json!(last);
    Ok(body)
}

fn offered_to_bid(body: Value) -> Lifted {
    Ok(json!({ "bidder": body["by"], "dollars": body["sum"] }))
}

fn cancelled_to_closed(_: Value) -> Lifted {
    Ok(json!({ "sold": false }))
}

#[track_caller]
fn check(name: &str, schema: u32, body: Value, expected: AuctionEvent) {
    let read = AuctionEvent::decode(name, schema, body.to_string().as_bytes());
    assert_eq!(read.unwrap(), expected);
}

#[track_caller]
fn refused(name: &str, schema: u32, body: Value) -> CodecError {
    AuctionEvent::decode(name, schema, body.to_string().as_bytes()).unwrap_err()
}

fn bid() -> AuctionEvent {
    AuctionEvent::BidPlaced { first_name: "Ann".into(), last_name: "Lee".into(), cents: 700 }
}

#[test]
fn three_schemas_are_read_as_the_newest() {
    check("bid", 1, json!({ "bidder": "Ann Lee", "dollars": 7 }), bid());
    check("bid", 2, json!({ "bidder": "Ann Lee", "cents": 700 }), bid());
    check("bid", 3, json!({ "first_name": "Ann", "last_name": "Lee", "cents": 700 }), bid());
}

#[test]
fn an_event_of_another_name_goes_the_whole_way() {
    check("offered", 2, json!({ "by": "Ann Lee", "sum": 7 }), bid());
    check("offered", 1, json!({ "by": "Ann Lee", "sum": 7 }), bid());
    check("cancelled", 1, json!({ "why": "lost" }), AuctionEvent::Closed { sold: false });
    check("moved", 4, json!(7), AuctionEvent::Moved(7));
}

#[test]
fn what_each_old_shape_becomes_is_known_without_a_body() {
    let check = |name, schema, to: Option<(&'static str, u32)>| {
        let to = to.map(|(name, schema)| EventKind { name, schema });
        assert_eq!(lifts_to::<AuctionEvent>(name, schema).copied(), to, "{name} {schema}");
    };
    check("offered", 1, Some(("bid", 3)));
    check("bid", 3, Some(("bid", 3)));
    check("cancelled", 1, Some(("closed", 1)));
    check("moved", 3, None);
    check("sold", 1, None);
}

#[test]
fn too_new_is_told_from_too_old() {
    for (name, schema, newest) in [("bid", 4, 3), ("offered", 3, 2), ("moved", 6, 5)] {
        let error = refused(name, schema, json!({}));
        assert!(error.is_too_new());
        assert!(matches!(&error, CodecError::TooNew { known, .. } if *known == newest));
        let said = error.to_string();
        for part in [name, &format!("schema {schema} is too new"), &format!("schema {newest}")] {
            assert!(said.contains(part), "{said}");
        }
    }
    let unknown = refused("sold", 1, json!({}));
    assert!(unknown.is_too_new() && matches!(unknown, CodecError::UnknownEvent { .. }));
    let old = refused("moved", 3, json!(7));
    assert!(!old.is_too_new());
    assert!(matches!(&old, CodecError::NoUpcast { known: 5, .. }), "{old}");
    assert!(old.to_string().contains("upcast(3 => …)"), "{old}");
}

#[test]
fn a_step_that_fails_is_named_with_what_was_recorded() {
    let error = refused("offered", 1, json!({ "by": "Ann Lee", "sum": "seven" }));
    assert_eq!(
        error.to_string(),
        "event offered of schema 1 cannot be lifted from bid of schema 1 to bid of schema 2: \
         dollars is not a whole number"
    );
    assert!(!error.is_too_new());
}

#[test]
fn damage_and_a_step_that_leaves_another_shape_are_told_as_such() {
    let torn = AuctionEvent::decode("bid", 1, b"{\"bidder\":").unwrap_err();
    assert!(matches!(torn, CodecError::Syntax(_)), "{torn}");
    let shape = refused("bid", 2, json!({ "bidder": "Ann Lee", "cents": -1 }));
    assert!(matches!(&shape, CodecError::Shape { pointer, .. } if pointer.ends_with("/cents")));
}

/// Written by hand, with a step missing between 1 and 3.
#[derive(Debug)]
struct Gap;

impl Event for Gap {
    const KINDS: &'static [EventKind] = &[EventKind { name: "gap", schema: 3 }];
    const UPCASTS: &'static [kronika_core::Upcast] = &[
        kronika_core::Upcast {
            from: EventKind { name: "gap", schema: 1 },
            to: EventKind { name: "gap", schema: 2 },
            lift: None,
        },
        kronika_core::Upcast {
            from: EventKind { name: "round", schema: 1 },
            to: EventKind { name: "round", schema: 1 },
            lift: None,
        },
    ];
    fn kind(&self) -> &'static EventKind {
        &Self::KINDS[0]
    }
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }
    fn decode(name: &str, schema: u32, body: &[u8]) -> Result<Self, CodecError> {
        if (name, schema) == ("gap", 3) {
            return Ok(Self);
        }
        kronika_core::decode_lifted(name, schema, body)
    }
}

#[test]
fn a_chain_with_a_missing_step_or_without_an_end_is_an_error() {
    let gap = Gap::decode("gap", 1, b"{}").unwrap_err();
    assert!(matches!(&gap, CodecError::NoUpcast { schema: 1, known: 3, .. }), "{gap}");
    let round = Gap::decode("round", 1, b"{}").unwrap_err();
    assert!(matches!(&round, CodecError::NoUpcast { .. }), "{round}");
}
