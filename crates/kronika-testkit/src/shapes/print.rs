//! JSON for people and their diffs: what fits on a line stands on one.

use serde_json::Value;

const LINE_MAX: usize = 100;
const INDENT: usize = 2;

pub(super) fn print(value: &Value) -> String {
    let mut text = String::new();
    put(value, 0, 0, &mut text);
    text.push('\n');
    text
}

/// Writes a value behind the `used` characters of its line.
fn put(value: &Value, depth: usize, used: usize, text: &mut String) {
    let inline = inline(value);
    let within = used + inline.chars().count() <= LINE_MAX;
    match value {
        Value::Object(fields) if !(fields.is_empty() || within && is_leaf(value)) => {
            text.push('{');
            for (place, (name, field)) in fields.iter().enumerate() {
                let name = format!("{}: ", Value::from(name.as_str()));
                line(place, depth + 1, text);
                text.push_str(&name);
                put(field, depth + 1, (depth + 1) * INDENT + name.chars().count() + 1, text);
            }
            line_end(depth, text);
            text.push('}');
        }
        Value::Array(items) if !within || items.iter().any(|item| !is_leaf(item)) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                line(place, depth + 1, text);
                put(item, depth + 1, (depth + 1) * INDENT + 1, text);
            }
            line_end(depth, text);
            text.push(']');
        }
        _ => text.push_str(&inline),
    }
}

/// Holds nothing that holds something itself but lists of plain values.
fn is_leaf(value: &Value) -> bool {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(is_plain));
    let is_empty = |value: &Value| value.as_object().is_some_and(|fields| fields.is_empty());
    match value {
        Value::Object(fields) => {
            fields.values().all(|field| is_plain(field) || is_list(field) || is_empty(field))
        }
        Value::Array(items) => items.iter().all(is_plain),
        _ => true,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, field)| format!("{}: {}", Value::from(name.as_str()), inline(field)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

fn line(place: usize, depth: usize, text: &mut String) {
    if place > 0 {
        text.push(',');
    }
    line_end(depth, text);
}

fn line_end(depth: usize, text: &mut String) {
    text.push('\n');
    text.push_str(&" ".repeat(depth * INDENT));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fits_stands_on_a_line_and_all_of_it_comes_back() {
        let names: Vec<_> = (0..20).map(|n| format!("name {n}")).collect();
        let value =
            json!({"a": {"b": {"type": ["null", "string"]}, "c": {}}, "long": names, "n": 1});
        let text = print(&value);
        assert!(text.contains("\n    \"b\": { \"type\": [\"null\", \"string\"] },\n"), "{text}");
        assert!(text.contains("\n    \"name 3\",\n") && text.ends_with("}\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= LINE_MAX), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
