//! What `#[derive(Row)]` and `#[derive(Key)]` write: columns, and values both ways.

use kronika_core::{CodecError, Column, Key, Kind, Row, Timestamp, Value};
use kronika_macros::{Key, Row};

#[derive(Row, Debug, PartialEq)]
struct Auction {
    item: String,
    #[column(name = "price_cents")]
    price: Option<i64>,
    r#type: u8,
    ends: Timestamp,
    open: bool,
}

#[derive(Key, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bidder {
    auction: String,
    number: u32,
}

fn auction() -> Auction {
    Auction { item: "lamp".into(), price: None, r#type: 2, ends: Timestamp::new(9), open: true }
}

#[test]
fn columns_follow_from_the_fields() {
    let column = |name, kind, nullable| Column { name, kind, nullable };
    let expected = [
        column("item", Kind::Text, false),
        column("price_cents", Kind::Integer, true),
        column("type", Kind::Integer, false),
        column("ends", Kind::Time, false),
        column("open", Kind::Boolean, false),
    ];
    assert_eq!(Auction::COLUMNS, expected);
    let names = Bidder::COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>();
    assert_eq!(names, ["auction", "number"]);
}

#[test]
fn values_are_in_the_order_of_the_columns_and_read_again() {
    let values = auction().values();
    assert_eq!(values[..2], [Value::Text("lamp".into()), Value::Null]);
    assert_eq!(Auction::from_values(values).unwrap(), auction());
    let bidder = Bidder { auction: "a".into(), number: 7 };
    assert_eq!(bidder.values(), [Value::Text("a".into()), Value::Integer(7)]);
    assert_eq!(Bidder::from_values(bidder.values()).unwrap(), bidder);
}

#[test]
fn what_does_not_fit_names_the_column() {
    let mut values = auction().values();
    values[2] = Value::Integer(256);
    match Auction::from_values(values) {
        Err(CodecError::Shape { pointer, .. }) => assert_eq!(pointer, "/type"),
        other => panic!("{other:?}"),
    }
    let error = Bidder::from_values(vec![Value::Null]).unwrap_err();
    assert!(error.to_string().contains("1 columns were read, 2 are known"), "{error}");
}
