//! How a shape looks in a message: one line, in words.

use serde_json::{Map, Value};

/// Said by other words of the line.
const SAID: &[&str] = &[
    "type",
    "enum",
    "format",
    "properties",
    "required",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "oneOf",
    "anyOf",
    "$ref",
    "$defs",
    "default",
    "additionalProperties",
];

pub(super) fn shape(schema: &Value) -> String {
    let Some(fields) = schema.as_object() else { return schema.to_string() };
    if let Some((name, inside)) = wrapped(schema) {
        return format!("{name}: {}", shape(inside));
    }
    let mut text = choices(fields).unwrap_or_else(|| kinds(fields));
    let (least, greatest) = implied(fields);
    for (keyword, value) in fields {
        let said = match keyword.as_str() {
            "minimum" => least.is_some() && whole(value) == least,
            "maximum" => greatest.is_some() && whole(value) == greatest,
            keyword => SAID.contains(&keyword),
        };
        if !said {
            text.push_str(&format!(" ({keyword}: {value})"));
        }
    }
    if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
        text.push_str(" and nothing else");
    }
    text
}

/// A field with what it is if it may be absent.
pub(super) fn field(schema: &Value, required: bool) -> String {
    match (required, schema.get("default")) {
        (true, _) => shape(schema),
        (false, None) => format!("{}, or absent", shape(schema)),
        (false, Some(default)) => format!("{}, or absent for {default}", shape(schema)),
    }
}

fn choices(fields: &Map<String, Value>) -> Option<String> {
    let list = |values: &Value, show: fn(&Value) -> String, joint: &str| {
        Some(values.as_array()?.iter().map(show).collect::<Vec<_>>().join(joint))
    };
    if let Some(names) = fields.get("enum") {
        return Some(format!("one of {}", list(names, Value::to_string, ", ")?));
    }
    let branches = fields.get("oneOf").or_else(|| fields.get("anyOf"));
    branches.and_then(|branches| list(branches, shape, " or "))
}

fn kinds(fields: &Map<String, Value>) -> String {
    if let Some(Value::String(reference)) = fields.get("$ref") {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    match fields.get("type") {
        Some(Value::String(kind)) => self::kind(kind, fields),
        Some(Value::Array(kinds)) => {
            // What is null last.
            let (null, kinds): (Vec<_>, Vec<_>) = kinds.iter().partition(|kind| *kind == "null");
            let kinds = kinds.into_iter().chain(null).filter_map(Value::as_str);
            kinds.map(|kind| self::kind(kind, fields)).collect::<Vec<_>>().join(" or ")
        }
        _ if fields.contains_key("properties") => object(fields),
        _ => "anything".to_owned(),
    }
}

fn kind(kind: &str, fields: &Map<String, Value>) -> String {
    let format = fields.get("format").and_then(Value::as_str);
    match (kind, format) {
        ("string", None) => "text".to_owned(),
        ("string", Some(format)) => format!("text ({format})"),
        ("integer", Some("uint")) => "usize".to_owned(),
        ("integer", Some("int")) => "isize".to_owned(),
        ("integer", Some(format)) => format.replace("uint", "u").replace("int", "i"),
        ("number", Some("float")) => "f32".to_owned(),
        ("number", Some("double")) => "f64".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("array", _) => match (fields.get("items"), fields.get("prefixItems")) {
            (_, Some(Value::Array(items))) => {
                format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(", "))
            }
            (Some(items), _) => format!("list of {}", shape(items)),
            _ => "list".to_owned(),
        },
        ("object", _) => object(fields),
        (kind, _) => kind.to_owned(),
    }
}

/// Names of fields, `?` behind those that may be absent.
fn object(fields: &Map<String, Value>) -> String {
    let required = |name: &String| {
        fields
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|one| one == name))
    };
    match (fields.get("properties").and_then(Value::as_object), fields.get("additionalProperties"))
    {
        (None, Some(values)) if values.is_object() => format!("map of {}", shape(values)),
        (None, _) => "{}".to_owned(),
        (Some(properties), _) => {
            let names = properties
                .keys()
                .map(|name| format!("{name}{}", if required(name) { "" } else { "?" }));
            format!("{{ {} }}", names.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The name and the inside of a variant that is written as an object of one field.
pub(super) fn wrapped(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema["properties"].as_object().filter(|properties| properties.len() == 1)?;
    let (name, inside) = properties.iter().next()?;
    let alone = schema["type"] == "object" && schema.as_object().is_some_and(|of| of.len() == 4);
    let is_variant =
        alone && schema["additionalProperties"] == false && schema["required"][0] == **name;
    is_variant.then_some((name, inside))
}

fn whole(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// The least and the greatest whole number, as far as they are bounded.
pub(super) fn range(fields: &Map<String, Value>) -> (Option<i128>, Option<i128>) {
    let bound = |keyword: &str| whole(fields.get(keyword)?);
    let (least, greatest) = implied(fields);
    let least = [least, bound("minimum")].into_iter().flatten().max();
    let greatest = [greatest, bound("maximum")].into_iter().flatten().min();
    (least, greatest)
}

/// The range of the Rust type that the format names.
fn implied(fields: &Map<String, Value>) -> (Option<i128>, Option<i128>) {
    let range = |least: i128, greatest: i128| (Some(least), Some(greatest));
    match fields.get("format").and_then(Value::as_str) {
        Some("uint8") => range(0, u8::MAX.into()),
        Some("uint16") => range(0, u16::MAX.into()),
        Some("uint32") => range(0, u32::MAX.into()),
        Some("uint64" | "uint") => range(0, u64::MAX.into()),
        Some("int8") => range(i8::MIN.into(), i8::MAX.into()),
        Some("int16") => range(i16::MIN.into(), i16::MAX.into()),
        Some("int32") => range(i32::MIN.into(), i32::MAX.into()),
        Some("int64" | "int") => range(i64::MIN.into(), i64::MAX.into()),
        _ => (None, None),
    }
}
