//! Shapes of types: their JSON schemas as they are read, without what does not change a body.

use kronika_core::{Event, EventKind};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{
    Deserializer,
    de::{DeserializeOwned, Error, Visitor, value},
};
use serde_json::{Map, Value, json};

/// Says nothing of a body.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// The shape of a type: what of it is read, optional what may be absent then.
pub(super) fn of_type<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    cleaned(settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// The shape of each event's body, which holds the fields of its variant without its name.
///
/// Variants are found in the schema by the names that serde has for them, since schemars groups them in its own
/// way; serde tells these names in the order in which `derive(Event)` has its kinds.
pub(super) fn of_events<E>() -> Result<Vec<(EventKind, Value)>, String>
where
    E: Event + JsonSchema + DeserializeOwned,
{
    let variants = variants::<E>();
    if variants.len() != E::KINDS.len() {
        return Err(format!(
            "{} events have {} names in serde ({}): use `derive(Event)`, and no `#[serde(alias)]`, which has no \
             meaning here, since a body holds no name",
            E::KINDS.len(),
            variants.len(),
            variants.join(", ")
        ));
    }
    let mut whole = of_type::<E>();
    let definitions = whole.as_object_mut().and_then(|whole| whole.remove("$defs"));
    let branches = match whole.get_mut("oneOf") {
        Some(Value::Array(branches)) => std::mem::take(branches),
        _ => vec![whole],
    };
    let shape = |(kind, variant): (&EventKind, &&str)| {
        let found = branches.iter().find_map(|branch| body(branch, variant));
        let mut shape = found.ok_or_else(|| {
            format!(
                "the JSON schema of its events has no variant {variant:?}, as serde names {}",
                kind.name
            )
        })?;
        if let (Some(definitions), true) = (&definitions, has_reference(&shape)) {
            shape["$defs"] = definitions.clone();
        }
        Ok((*kind, shape))
    };
    E::KINDS.iter().zip(&variants).map(shape).collect()
}

/// The inside of a variant, where the branch is of it.
fn body(branch: &Value, variant: &str) -> Option<Value> {
    let unit =
        branch["enum"].as_array().is_some_and(|names| names.iter().any(|name| name == variant));
    // What a unit records is an empty object.
    if unit {
        Some(json!({ "type": "object" }))
    } else {
        branch["properties"].get(variant).cloned()
    }
}

fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// Sorted, in one form where schemars has several, and without annotations.
pub(super) fn cleaned(schema: Value) -> Value {
    let Value::Object(fields) = schema else {
        return if schema == Value::Bool(false) { json!({ "not": {} }) } else { json!({}) };
    };
    let mut kept = Map::new();
    for (keyword, value) in fields {
        if ANNOTATIONS.contains(&keyword.as_str()) || (keyword == "default" && !is_scalar(&value)) {
            continue;
        }
        match cleaned_keyword(&keyword, value) {
            // Empty ones say what absent ones say.
            Value::Object(empty) if empty.is_empty() && keyword == "properties" => {}
            Value::Array(empty) if empty.is_empty() && keyword == "required" => {}
            value if keyword == "const" => drop(kept.insert("enum".to_owned(), json!([value]))),
            value => drop(kept.insert(keyword, value)),
        }
    }
    unwrap_only_branch(&mut kept);
    kept.sort_keys();
    Value::Object(kept)
}

/// A default that is a text, a number or a truth value says how older bodies are read; others grow with their type.
fn is_scalar(default: &Value) -> bool {
    default.is_string() || default.is_number() || default.is_boolean()
}

fn cleaned_keyword(keyword: &str, value: Value) -> Value {
    match (keyword, value) {
        ("properties" | "patternProperties" | "$defs", Value::Object(fields)) => {
            let mut fields: Map<_, _> =
                fields.into_iter().map(|(name, field)| (name, cleaned(field))).collect();
            fields.sort_keys();
            Value::Object(fields)
        }
        ("prefixItems" | "anyOf" | "allOf", Value::Array(schemas)) => {
            schemas.into_iter().map(cleaned).collect()
        }
        ("oneOf", Value::Array(schemas)) => {
            Value::Array(gathered(schemas.into_iter().map(cleaned).collect()))
        }
        (
            "items" | "additionalProperties" | "unevaluatedProperties" | "not" | "propertyNames",
            schema,
        ) if schema.is_object() => cleaned(schema),
        ("required" | "enum" | "type", Value::Array(mut texts)) => {
            texts.sort_by_cached_key(Value::to_string);
            Value::Array(texts)
        }
        (_, other) => other,
    }
}

/// Variants that are only names in one branch, whether they are documented or not; the others sorted.
fn gathered(branches: Vec<Value>) -> Vec<Value> {
    let is_names = |branch: &Value| {
        branch["type"] == "string"
            && branch["enum"].is_array()
            && branch.as_object().is_some_and(|of| of.len() == 2)
    };
    let (names, mut others): (Vec<_>, Vec<_>) = branches.into_iter().partition(is_names);
    let names = names.into_iter().flat_map(|mut branch| match branch["enum"].take() {
        Value::Array(names) => names,
        _ => Vec::new(),
    });
    let mut names: Vec<Value> = names.collect();
    names.sort_by_cached_key(Value::to_string);
    others.sort_by_cached_key(Value::to_string);
    let names = (!names.is_empty()).then(|| json!({ "enum": names, "type": "string" }));
    names.into_iter().chain(others).collect()
}

/// One branch is no choice.
fn unwrap_only_branch(schema: &mut Map<String, Value>) {
    let only = match schema.get_mut("oneOf") {
        Some(Value::Array(branches)) if branches.len() == 1 => branches[0].take(),
        _ => return,
    };
    let Value::Object(only) = only else { return };
    let free = only.keys().all(|keyword| !schema.contains_key(keyword));
    if free {
        schema.remove("oneOf");
        schema.extend(only);
    } else {
        schema.insert("oneOf".to_owned(), json!([only]));
    }
}

/// The names that serde has for the variants of an enum; none if it is read as something else.
fn variants<E: DeserializeOwned>() -> Vec<&'static str> {
    let mut found = Vec::new();
    // Nothing is read: the error is that of the probe.
    drop(E::deserialize(Probe(&mut found)));
    found
}

/// Asked to deserialize an enum, notes its variants and refuses.
struct Probe<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(value::Error::custom("only an enum is looked at"))
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        self.0.extend(variants);
        self.deserialize_any(visitor)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
