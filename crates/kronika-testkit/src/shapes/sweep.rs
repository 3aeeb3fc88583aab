//! Every single change of a schema that has all forms: whatever is altered is found.

use super::{compare::changes, schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Everything {
    whole: u8,
    signed: i64,
    real: f32,
    text: String,
    maybe: Option<String>,
    #[serde(default)]
    absent: u32,
    pair: (u8, String),
    fixed: [u8; 3],
    set: BTreeSet<String>,
    map: BTreeMap<String, Closed>,
    numbered: BTreeMap<u32, bool>,
    plain: Plain,
    outer: Outer,
    inner: Inner,
    beside: Beside,
    either: Either,
    tree: Tree,
    list: Option<Box<List>>,
    any: Value,
    #[serde(flatten)]
    flat: Inner,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Closed {
    cents: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Plain {
    One,
    Two,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Outer {
    Unit,
    New(u8),
    Pair(u8, u16),
    Fields { by: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Inner {
    Card { number: String },
    Cash { change: u32 },
    Nothing,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "body")]
enum Beside {
    Card(String),
    Cash(u32),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Either {
    Whole(u32),
    Text(String),
    Fields { a: u8 },
    Others { b: u8 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tree {
    first: Box<Tree>,
    second: Box<Tree>,
    under: Vec<Tree>,
    best: Option<Box<Tree>>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct List {
    cents: u64,
    next: Option<Box<List>>,
}

/// All schemas that differ from `whole` at one place, each with the place's pointer and what was done.
fn altered(whole: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    let at = whole.pointer(pointer).expect("it is gone down step by step");
    let mut with = |what: &str, value: Value| {
        let mut other = whole.clone();
        *other.pointer_mut(pointer).expect("the same place") = value;
        found.push((format!("{pointer} {what}"), other));
    };
    match at {
        Value::Object(fields) => {
            for name in fields.keys() {
                let mut fewer: Map<String, Value> = fields.clone();
                fewer.remove(name);
                with(&format!("without {name}"), fewer.into());
            }
            let names: Vec<_> = fields.keys().cloned().collect();
            names.iter().for_each(|name| altered(whole, &format!("{pointer}/{name}"), found));
        }
        Value::Array(items) => {
            for place in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(place);
                with(&format!("without item {place}"), fewer.into());
            }
            let count = items.len();
            (0..count).for_each(|place| altered(whole, &format!("{pointer}/{place}"), found));
        }
        Value::String(text) => with("with another text", format!("{text}x").into()),
        Value::Number(number) => {
            with("with another number", json!(number.as_f64().map(|n| n + 1.0)))
        }
        Value::Bool(truth) => with("turned", (!truth).into()),
        Value::Null => with("no longer null", json!(0)),
    }
}

#[test]
fn whatever_is_altered_is_found_both_ways() {
    let whole = schema::of_type::<Everything>();
    let text = whole.to_string();
    for keyword in
        ["oneOf", "anyOf", "prefixItems", "$ref", "patternProperties", "default", "uniqueItems"]
    {
        assert!(text.contains(&format!("\"{keyword}\":")), "{keyword} is not tried: {text}");
    }
    assert_eq!(changes(&whole, &whole), []);
    let mut all = Vec::new();
    altered(&whole, "", &mut all);
    assert!(all.len() > 300, "only {} places", all.len());
    let mut missed = Vec::new();
    for (what, other) in all {
        // Back again, a field that may be absent is a new one.
        let may_come = what.contains("/properties without ") && is_optional(&whole, &what);
        if changes(&whole, &other).is_empty() {
            missed.push(what.clone());
        }
        if changes(&other, &whole).is_empty() != may_come {
            missed.push(format!("{what}, backward"));
        }
    }
    assert!(missed.is_empty(), "in {whole:#}:\n{}", missed.join("\n"));
}

/// Whether what was taken away need not be there.
fn is_optional(whole: &Value, what: &str) -> bool {
    let (pointer, name) = what.split_once("/properties without ").expect("looked for before");
    let object = whole.pointer(pointer).expect("the place is there");
    let required =
        object["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    !required && object.get("additionalProperties").is_none()
}
