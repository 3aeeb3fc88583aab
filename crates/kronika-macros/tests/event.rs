//! What `#[derive(Event)]` writes: names, schema numbers, tags, and bodies that are read again.

use kronika_core::{CodecError, Event, EventKind};
use kronika_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
enum AuctionEvent {
    Opened {
        #[event(tag)]
        item: String,
        #[event(tag)]
        category: Option<u32>,
        #[event(tag)]
        words: Vec<String>,
        opening_bid_cents: i64,
    },
    #[event(name = "bid", schema = 3, oldest = 2, upcast(2))]
    BidPlaced {
        #[event(tag)]
        r#type: Kind,
        cents: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    Renamed(String),
    Moved(i32, i32),
    ClosedByHTTPCall,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone, Copy)]
enum Kind {
    First,
}
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("kind:first")
    }
}

fn opened(category: Option<u32>, words: &[&str]) -> AuctionEvent {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    AuctionEvent::Opened { item: "lamp".into(), category, words, opening_bid_cents: 100 }
}

#[test]
fn every_variant_is_a_kind_in_the_order_of_declaration() {
    let kind = |name, schema| EventKind { name, schema };
    let expected = [
        kind("opened", 1),
        kind("bid", 3),
        kind("renamed", 1),
        kind("moved", 1),
        kind("closed-by-http-call", 1),
    ];
    assert_eq!(AuctionEvent::KINDS, expected);
    assert_eq!(AuctionEvent::Moved(1, 2).kind(), &expected[3]);
}

#[test]
fn bodies_hold_the_fields_and_are_read_again() {
    fn check(event: AuctionEvent, expected: &str) {
        let mut body = b"kept".to_vec();
        event.encode(&mut body).unwrap();
        let body = body.strip_prefix(b"kept").unwrap();
        assert_eq!(std::str::from_utf8(body).unwrap(), expected);
        let EventKind { name, schema } = event.kind();
        assert_eq!(AuctionEvent::decode(name, *schema, body).unwrap(), event);
    }
    check(
        opened(None, &["old"]),
        r#"{"item":"lamp","category":null,"words":["old"],"opening_bid_cents":100}"#,
    );
    let bid = AuctionEvent::BidPlaced { r#type: Kind::First, cents: 5, note: None };
    check(bid, r#"{"type":"First","cents":5}"#);
    check(AuctionEvent::Renamed("lamp".into()), r#""lamp""#);
    check(AuctionEvent::Moved(1, -2), "[1,-2]");
    check(AuctionEvent::ClosedByHTTPCall, "{}");
}

#[test]
fn a_tag_is_as_display_writes_it_and_absent_without_a_value() {
    fn check(event: AuctionEvent, expected: &[&str]) {
        let mut tags = Vec::new();
        event.tags(&mut |tag| tags.push(tag.to_owned()));
        assert_eq!(tags, expected);
    }
    check(opened(None, &[]), &["lamp"]);
    check(opened(Some(7), &["old", "brass"]), &["lamp", "7", "old", "brass"]);
    let note = Some("not a tag".into());
    check(AuctionEvent::BidPlaced { r#type: Kind::First, cents: 5, note }, &["kind:first"]);
    check(AuctionEvent::ClosedByHTTPCall, &[]);
}

#[test]
fn an_unknown_name_is_told_from_damage() {
    let decode = AuctionEvent::decode;
    let bid = br#"{"type":"First","cents":5}"#;
    for (name, schema) in [("BidPlaced", 1), ("sold", 1)] {
        let error = decode(name, schema, bid).unwrap_err();
        assert!(
            matches!(&error, CodecError::UnknownEvent { name: n, schema: s } if n == name && *s == schema),
            "{error:?}"
        );
    }
    assert!(matches!(decode("bid", 3, b"{"), Err(CodecError::Syntax(_))));
    let shape = decode("bid", 3, br#"{"type":"First","cents":"five"}"#).unwrap_err();
    assert!(matches!(&shape, CodecError::Shape { pointer, .. } if pointer.ends_with("/cents")));
}

#[test]
fn unknown_fields_are_ignored_so_that_older_builds_read_additions() {
    let body = br#"{"type":"First","cents":5,"since":"later"}"#;
    assert!(AuctionEvent::decode("bid", 3, body).is_ok());
}
