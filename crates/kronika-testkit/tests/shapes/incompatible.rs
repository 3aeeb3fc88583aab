//! Changes of events that must not be released: what is said of each, and what to write.

use crate::builds::then;
use kronika_core::Lifted;
use kronika_testkit::{Renewal, shapes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

const STEP: &str = "#[event(schema = 2, upcast(1 => bid_from_1))]";
const STEP_WITHOUT_LIFT: &str = "#[event(schema = 2, upcast(1))]";

fn lift(body: Value) -> Lifted {
    Ok(body)
}

#[test]
fn a_renamed_field() {
    changed!([Bid { by: String, cents: u64 }] => [Bid { by: String, amount: u64 }]).refused(&[
        "aggregate auction, event bid, schema 1\n  cents: is gone, and amount has its shape: u64\n",
        STEP,
        r#"
    /// Lifts the body of `bid` from schema 1 to 2.
    fn bid_from_1(mut body: serde_json::Value) -> kronika::Lifted {
        let fields = body.as_object_mut().ok_or("the body is no object")?;
        if let Some(value) = fields.remove("cents") {
            fields.insert("amount".to_owned(), value);
        }
        Ok(body)
    }
"#,
        "or, if schema 1 was never recorded outside of tests, take it out of the file first",
    ]);
}

#[test]
fn a_renamed_field_is_not_guessed() {
    let two = "  cents\n    before: u64\n    after:  not there\n";
    changed!([Bid { cents: u64 }] => [Bid { amount: u64, price: u64 }])
        .refused(&[two, "  price\n"]);
    changed!([Bid { cents: u64, step: u64 }] => [Bid { amount: u64 }]).refused(&[two, "  step\n"]);
    changed!([Bid { cents: Option<u8> }] => [Bid { amount: u8 }])
        .refused(&["  cents\n", "  amount\n"]);
    changed!([Bid { line: Line }] => [Bid { line: NamedLine }]).refused(&[
        "  line.cents: is gone, and line.amount has",
        "// line.cents has become line.amount\n",
    ]);
}

#[test]
fn a_removed_field() {
    changed!([Bid { cents: u64, note: Option<String> }] => [Bid { cents: u64 }]).refused(&[
        "  note\n    before: text or null, or absent\n    after:  not there\n",
        STEP_WITHOUT_LIFT,
    ]);
}

#[test]
fn a_required_field() {
    changed!([Bid {}] => [Bid { cents: u64 }]).refused(&[
        "  cents\n    before: not there\n    after:  u64\n",
        STEP,
        "  or let cents be absent: an `Option`",
    ]);
    changed!([Bid { cents: Option<u64> }] => [Bid { cents: u64 }])
        .refused(&["before: u64 or null, or absent\n    after:  u64\n", STEP]);
}

#[test]
fn a_field_that_older_builds_must_have() {
    changed!([Bid { cents: u64 }] => [Bid { cents: Option<u64> }])
        .refused(&["before: u64\n    after:  u64 or null, or absent\n", STEP_WITHOUT_LIFT]);
}

#[test]
fn another_type() {
    changed!([Bid { cents: u64 }] => [Bid { cents: String }]).refused(&[
        "  cents\n    before: u64\n    after:  text\n",
        STEP,
        "fn bid_from_1(body: serde_json::Value)",
        "// cents: u64 -> text",
    ]);
    changed!([Bid(u64)] => [Bid { cents: u64 }]).refused(&["the body\n    before: u64\n", STEP]);
    changed!([Bid(u64, u64)] => [Bid(u64, u64, u64)]).refused(&["after:  u64", STEP]);
}

#[test]
fn a_number_of_another_range() {
    changed!([Bid { cents: u64 }] => [Bid { cents: u32 }])
        .refused(&["before: u64\n    after:  u32", STEP]);
    changed!([Bid { cents: i32 }] => [Bid { cents: u64 }]).refused(&[STEP]);
    changed!([Bid { cents: u32 }] => [Bid { cents: u64 }]).refused(&[STEP_WITHOUT_LIFT]);
    changed!([Bid { cents: u32 }] => [Bid { cents: i64 }]).refused(&[STEP_WITHOUT_LIFT]);
}

fn ten() -> u32 {
    10
}

fn twenty() -> u32 {
    20
}

#[test]
fn another_value_for_what_is_absent() {
    changed!(
        [Bid { #[serde(default = "ten")] cents: u32 }] =>
        [Bid { #[serde(default = "twenty")] cents: u32 }]
    )
    .refused(&["u32, or absent for 10\n    after:  u32, or absent for 20", STEP]);
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Two {
    First,
    Raised,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Three {
    First,
    Raised,
    Outbid,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum WithFields {
    First,
    Raised,
    Outbid { by: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum OtherFields {
    First,
    Raised,
    Outbid { of: u32 },
}

#[test]
fn a_variant_of_an_enum_in_an_event() {
    let (two, three) = ("one of \"First\", \"Raised\"", "one of \"First\", \"Outbid\", \"Raised\"");
    changed!([Bid { kind: Two }] => [Bid { kind: Three }]).refused(&[
        &format!("  kind\n    before: {two}\n    after:  {three}\n"),
        STEP_WITHOUT_LIFT,
    ]);
    changed!([Bid { kind: Three }] => [Bid { kind: Two }])
        .refused(&[&format!("  kind\n    before: {three}\n    after:  {two}\n"), STEP]);
    changed!([Bid { kind: Two }] => [Bid { kind: WithFields }])
        .refused(&[&format!("after:  {two} or Outbid: {{ by }}"), STEP_WITHOUT_LIFT]);
    changed!([Bid { kind: WithFields }] => [Bid { kind: OtherFields }]).refused(&[
        "  kind(Outbid).by\n    before: text\n    after:  not there\n",
        "  kind(Outbid).of\n",
    ]);
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Tagged {
    Card { number: String },
    Cash { change: u32 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum TaggedOtherwise {
    Cash { change: u64 },
    Card { number: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum WholeFirst {
    Whole(u64),
    Real(f64),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RealFirst {
    Real(f64),
    Whole(u64),
}

#[test]
fn the_order_in_which_shapes_are_tried() {
    changed!([Bid { sum: WholeFirst }] => [Bid { sum: RealFirst }])
        .refused(&["  sum\n    before: u64 or f64\n    after:  f64 or u64\n", STEP]);
    changed!([Bid { sum: WholeFirst }] => [Bid { sum: WholeFirst, more: Option<RealFirst> }])
        .renewed(&["has new fields"]);
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Line {
    cents: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NamedLine {
    amount: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NoteLine {
    cents: u32,
    note: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct TextLine {
    cents: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClosedLine {
    cents: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LongClosedLine {
    cents: u32,
    step: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct LongLine {
    cents: u32,
    step: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tree {
    cents: u32,
    under: Vec<Tree>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct TextTree {
    cents: u32,
    under: Vec<TextTree>,
    text: String,
}

#[test]
fn places_deep_in_a_body_are_named() {
    let text = "    before: u32\n    after:  text\n";
    changed!([Bid { lines: Vec<Line> }] => [Bid { lines: Vec<TextLine> }])
        .refused(&[&format!("  lines[].cents\n{text}"), STEP]);
    changed!([Bid { lines: BTreeMap<String, Line> }] => [Bid { lines: BTreeMap<String, TextLine> }])
        .refused(&[&format!("  lines{{}}.cents\n{text}")]);
    changed!([Bid(Line)] => [Bid(TextLine)]).refused(&[&format!("  cents\n{text}")]);
    changed!([Bid { pay: Tagged }] => [Bid { pay: TaggedOtherwise }]).refused(&[
        "  pay(kind: Cash).change\n    before: u32\n    after:  u64\n",
        STEP_WITHOUT_LIFT,
    ]);
    changed!([Bid { lines: Option<Tree> }] => [Bid { lines: Option<TextTree> }])
        .refused(&["  lines.text\n    before: not there\n    after:  text\n"]);
    changed!([Bid { lines: Vec<Line> }] => [Bid { lines: Vec<NoteLine> }])
        .renewed(&["has new fields"]);
    changed!([Bid { line: LongLine }] => [Bid { line: Line }])
        .refused(&["  line.step\n    before: u32\n    after:  not there\n", STEP_WITHOUT_LIFT]);
    changed!([Bid { line: LongClosedLine }] => [Bid { line: ClosedLine }])
        .refused(&["  line.step\n", STEP]);
    changed!([Bid { line: ClosedLine }] => [Bid { line: NoteLine }])
        .refused(&["line.note\n    before: not there, and nothing may be added\n"]);
}

#[test]
fn an_event_that_nothing_reads_any_more() {
    changed!([Opened {}, Offered { cents: u64 }] => [Opened {}, BidPlaced { cents: u64 }]).refused(
        &[
            "aggregate auction, event offered, schema 1\n  no event of this name is left",
            "the variant that it became (bid-placed has this shape)",
            "#[event(upcast((\"offered\", 1)))]",
            "#[event(name = \"offered\")]",
        ],
    );
    changed!([Opened {}, Offered { cents: u64 }] => [Opened {}])
        .refused(&["the variant that it became\n", "#[event(upcast((\"offered\", 1)))]"]);
}

#[test]
fn a_schema_that_no_step_leads_from() {
    changed!([Bid { cents: u64 }] => [#[event(schema = 2, oldest = 2)] Bid { cents: String }])
        .refused(&[
            "event bid, schema 1\n  no step leads from it to schema 2",
            "#[event(schema = 2, upcast(1, …))]",
        ]);
    changed!([#[event(schema = 3, oldest = 3)] Bid {}] => [Bid {}]).refused(&[
        "event bid, schema 3\n  this build knows the event up to schema 1 only",
        "#[event(schema = 3, …)]",
    ]);
}

#[test]
fn the_next_step_stands_beside_those_that_are_there() {
    changed!(
        [#[event(schema = 2, upcast(1 => lift))] Bid { cents: u64 }] =>
        [#[event(schema = 2, upcast(1 => lift))] Bid { cents: String }]
    )
    .refused(&["event bid, schema 2\n", "#[event(schema = 3, upcast(…, 2 => bid_from_2))]"]);
}

#[test]
fn all_changes_are_told_at_once() {
    changed!([Bid { cents: u64, by: String }, Closed { a: u8 }] => [Bid { by: u8 }, Closed { a: String }])
        .refused(&["  by\n", "  cents\n", "event closed, schema 1\n  a\n"]);
}

#[test]
fn a_step_without_a_function_where_one_is_needed() {
    changed!([Bid { cents: u64 }] => [#[event(schema = 2, upcast(1))] Bid { amount: u64 }])
        .refused(&[
            "event bid, schema 1\n  cents: is gone, and amount has its shape",
            "the step to bid, schema 2, has no function",
            "#[event(…, upcast(1 => bid_from_1))]",
            "fields.remove(\"cents\")",
        ]);
    changed!([Offered { cents: u8 }] => [#[event(upcast(("offered", 1)))] Bid { amount: u64, cents: u16 }])
        .refused(&["  amount\n", "upcast((\"offered\", 1) => offered_from_1)", "to `bid`.\n"]);
    changed!([Bid { cents: u8, note: u8 }] => [#[event(schema = 2, upcast(1))] Bid { cents: u16 }])
        .renewed(&["the schema is new"]);
}

#[test]
fn a_name_that_comes_back_with_another_type() {
    build!(first, [Bid { cents: u64, note: Option<String> }]);
    build!(
        second,
        [
            #[event(schema = 2, upcast(1))]
            Bid { cents: u64 }
        ]
    );
    build!(third, [#[event(schema = 2, upcast(1))] Bid { cents: u64, note: Option<u32> }]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shapes.lock");
    shapes(&file).aggregate::<first::Auction>().check_as(Renewal::Allowed).unwrap();
    shapes(&file).aggregate::<second::Auction>().check_as(Renewal::Allowed).unwrap();
    then(&file, |renewal| shapes(&file).aggregate::<third::Auction>().check_as(renewal)).refused(&[
        "event bid, schema 1\n  note\n    before: text or null, or absent\n    after:  u32 or null",
        "the step to bid, schema 2, has no function",
    ]);
}
