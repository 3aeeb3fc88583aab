//! What is changed between two shapes, beyond fields that may be absent.

use super::show::{self, wrapped};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};

/// One incompatible change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// Path of a field from the body on, as `lines[].cents`; empty for the body itself.
    pub path: String,
    pub before: String,
    pub after: String,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ChangeKind {
    /// What was recorded before can be read as it is; only older builds misread what comes.
    Widened,
    /// A field of another name and the same shape is there: the path is the old one, `after` the new.
    Renamed,
    /// A body must be changed to be read.
    Other,
}

/// Keywords that are gone into; all others are compared as they are.
const GONE_INTO: &[&str] = &[
    "properties",
    "required",
    "$defs",
    "$ref",
    "items",
    "prefixItems",
    "additionalProperties",
    "oneOf",
    "anyOf",
    "allOf",
];

static NOTHING: Value = Value::Null;

pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut comparison =
        Comparison { roots: [before, after], seen: HashSet::new(), found: Vec::new() };
    comparison.schema("", [before, after], [true, true]);
    comparison.found
}

struct Comparison<'a> {
    roots: [&'a Value; 2],
    /// References of types that hold themselves.
    seen: HashSet<[String; 2]>,
    found: Vec<Change>,
}

impl<'a> Comparison<'a> {
    /// Two shapes at one place, and whether something must be there.
    fn schema(&mut self, path: &str, both: [&'a Value; 2], required: [bool; 2]) {
        let references = both.map(|schema| schema["$ref"].as_str());
        let again = match references {
            [Some(before), Some(after)] => !self.seen.insert([before.to_owned(), after.to_owned()]),
            _ => false,
        };
        if again && required[0] == required[1] {
            return;
        }
        let [before, after] = [0, 1].map(|side| self.resolved(side, both[side]));
        if required[0] != required[1] || own_differs(before, after) {
            // What was always there needs no default; another default makes another event of an old body.
            let same_absence = required[0] || !required[1] && before["default"] == after["default"];
            let fits = same_absence && fits(before, after);
            let kind = if fits { ChangeKind::Widened } else { ChangeKind::Other };
            let texts = [show::field(before, required[0]), show::field(after, required[1])];
            self.add(path, kind, texts, [before, after]);
            if again || form(before) != form(after) {
                return;
            }
        }
        self.fields(path, before, after);
        for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
            if before[keyword].is_object() && after[keyword].is_object() {
                self.schema(
                    &format!("{path}{mark}"),
                    [&before[keyword], &after[keyword]],
                    [true, true],
                );
            }
        }
        for keyword in ["prefixItems", "oneOf", "anyOf", "allOf"] {
            self.branches(path, keyword, before, after);
        }
    }

    fn resolved(&self, side: usize, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                self.roots[side].pointer(reference.trim_start_matches('#')).unwrap_or(schema)
            }
            None => schema,
        }
    }

    fn add(&mut self, path: &str, kind: ChangeKind, texts: [String; 2], schemas: [&Value; 2]) {
        let told_apart = texts[0] != texts[1];
        let [before, after] = if told_apart { texts } else { schemas.map(Value::to_string) };
        self.found.push(Change { path: path.to_owned(), before, after, kind });
    }

    fn fields(&mut self, path: &str, before: &'a Value, after: &'a Value) {
        let missing = |schema: &'a Value, other: &Value| -> Vec<(&'a String, &'a Value)> {
            let all = schema["properties"].as_object().into_iter().flatten();
            all.filter(|(name, _)| other["properties"].get(name.as_str()).is_none()).collect()
        };
        let (gone, mut new) = (missing(before, after), missing(after, before));
        for (name, field) in before["properties"].as_object().into_iter().flatten() {
            if let Some(now) = after["properties"].get(name) {
                let required = [is_required(before, name), is_required(after, name)];
                self.schema(&join(path, name), [field, now], required);
            }
        }
        for &(name, field) in &gone {
            let at = join(path, name);
            if let Some(now) = renamed(before, name, &gone, after, &new) {
                new.retain(|(name, _)| *name != now);
                let (before, after) = (show::shape(field), join(path, now));
                self.found.push(Change { path: at, before, after, kind: ChangeKind::Renamed });
                continue;
            }
            let kind = if is_growing(after) { ChangeKind::Widened } else { ChangeKind::Other };
            let was = show::field(field, is_required(before, name));
            self.add(&at, kind, [was, NOT_THERE.to_owned()], [field, &NOTHING]);
        }
        for (name, field) in new {
            let required = is_required(after, name);
            let absent = match (is_growing(before), required) {
                (true, false) => continue,
                (true, true) => NOT_THERE,
                (false, _) => "not there, and nothing may be added",
            };
            // In a map, what is recorded may hold something else under the name.
            let closed = before["additionalProperties"] == false;
            let kind = if closed && !required { ChangeKind::Widened } else { ChangeKind::Other };
            let texts = [absent.to_owned(), show::field(field, required)];
            self.add(&join(path, name), kind, texts, [&NOTHING, field]);
        }
    }

    /// Branches of a choice, by what tells them apart, else by their place.
    fn branches(&mut self, path: &str, keyword: &str, before: &'a Value, after: &'a Value) {
        let whole = [before, after];
        let [before, after] = whole.map(|schema| labelled(list(&schema[keyword]), keyword));
        // The first that fits is taken: the same ones in another order read another value.
        let common = |of: &[(String, _)], other: &[(String, _)]| -> Vec<String> {
            let common = of.iter().filter(|(label, _)| other.iter().any(|(one, _)| one == label));
            common.map(|(label, _)| label.clone()).collect()
        };
        if keyword == "anyOf" && common(&before, &after) != common(&after, &before) {
            self.add(path, ChangeKind::Other, whole.map(show::shape), whole);
        }
        for (label, branch) in &before {
            let at = format!("{path}({label})");
            match after.iter().find(|(now, _)| now == label) {
                Some((_, now)) => {
                    // What is inside a variant follows its name.
                    let inside = wrapped(branch).zip(wrapped(now));
                    let (branch, now) =
                        inside.map_or((*branch, *now), |((_, was), (_, now))| (was, now));
                    self.schema(&at, [branch, now], [true, true]);
                }
                None => {
                    let texts = [show::shape(branch), NOT_THERE.to_owned()];
                    self.add(&at, ChangeKind::Other, texts, [branch, &NOTHING]);
                }
            }
        }
        for (label, branch) in &after {
            if before.iter().all(|(was, _)| was != label) {
                // A longer tuple is read from no shorter one, and without names a new branch may catch an old body.
                let named = keyword == "oneOf";
                let kind = if named { ChangeKind::Widened } else { ChangeKind::Other };
                let texts = [NOT_THERE.to_owned(), show::shape(branch)];
                self.add(&format!("{path}({label})"), kind, texts, [&NOTHING, branch]);
            }
        }
    }
}

/// In the place of a shape.
pub(super) const NOT_THERE: &str = "not there";

/// The only new field of the shape of the only gone one, unless it must be there and that one need not.
fn renamed<'a>(
    before: &Value,
    name: &str,
    gone: &[(&String, &Value)],
    after: &Value,
    new: &[(&'a String, &'a Value)],
) -> Option<&'a String> {
    let shape = &before["properties"][name];
    let alone = gone.iter().filter(|(_, field)| *field == shape).count() == 1;
    let mut alike = new.iter().filter(|(_, field)| *field == shape);
    match (alone, alike.next(), alike.next()) {
        (true, Some((now, _)), None) if is_required(before, name) || !is_required(after, now) => {
            Some(now)
        }
        _ => None,
    }
}

/// What decides whether the insides can be compared.
fn form(schema: &Value) -> (&Value, [bool; 2]) {
    (&schema["type"], ["oneOf", "anyOf"].map(|keyword| schema[keyword].is_array()))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Builds leave out what they do not know, unless the type says otherwise.
fn is_growing(schema: &Value) -> bool {
    let closing = ["additionalProperties", "unevaluatedProperties", "patternProperties"];
    closing.iter().all(|keyword| schema.get(keyword).is_none())
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
}

/// Other than by what is gone into.
fn own_differs(before: &Value, after: &Value) -> bool {
    let (Some(one), Some(other)) = (before.as_object(), after.as_object()) else {
        return before != after;
    };
    let keywords: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    keywords.into_iter().any(|keyword| {
        let [one, other] = [one, other].map(|fields| fields.get(keyword).unwrap_or(&NOTHING));
        let gone_into = GONE_INTO.contains(&keyword.as_str());
        let can_be = match keyword.as_str() {
            "items" | "additionalProperties" => one.is_object() && other.is_object(),
            "oneOf" | "anyOf" | "allOf" | "prefixItems" => one.is_array() && other.is_array(),
            "required" => {
                // Names that are no fields of either.
                let names = [before, after].map(|schema| bare_names(schema, [before, after]));
                names[0] == names[1]
            }
            // What is left of references leads nowhere.
            "$ref" => false,
            _ => true,
        };
        one != other && !(gone_into && can_be)
    })
}

/// What must be there and is described nowhere.
fn bare_names<'a>(schema: &'a Value, both: [&Value; 2]) -> Vec<&'a str> {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| both.iter().all(|one| one["properties"].get(name).is_none())).collect()
}

/// Each branch with what tells it apart; where that is not one for each, with its place.
fn labelled<'a>(branches: &'a [Value], keyword: &str) -> Vec<(String, &'a Value)> {
    let labels: Vec<_> = branches.iter().map(label).collect();
    let distinct = labels.iter().collect::<HashSet<_>>().len() == labels.len();
    let by_label = keyword != "prefixItems" && keyword != "allOf" && distinct;
    let label = |(place, label)| if by_label { label } else { format!("{place}") };
    labels.into_iter().enumerate().map(label).zip(branches).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn label(branch: &Value) -> String {
    // Also where it is flattened, and then not alone.
    if let (Some(properties), [required]) =
        (branch["properties"].as_object(), list(&branch["required"]))
        && properties.len() == 1
        && let Some(name) = required.as_str()
        && !properties.values().any(|inside| inside["enum"].is_array())
    {
        return name.to_owned();
    }
    if branch["$ref"].is_string() {
        return "reference".to_owned();
    }
    let properties = branch["properties"].as_object().into_iter().flatten();
    let tags = properties.filter_map(|(name, field)| match field["enum"].as_array()?.as_slice() {
        [value] => Some(format!(
            "{name}: {}",
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        )),
        _ => None,
    });
    let tags: Vec<_> = tags.collect();
    match (tags.is_empty(), &branch["type"]) {
        (false, _) => tags.join(", "),
        (true, Value::String(kind)) => kind.clone(),
        (true, _) => branch.to_string(),
    }
}

/// Whether everything of the first shape is one of the second, as far as that is easily seen.
fn fits(before: &Value, after: &Value) -> bool {
    if before == after {
        return true;
    }
    // A choice with nothing beside it.
    let choices = |schema: &Value| {
        let mut keywords = schema.as_object()?.keys().filter(|keyword| *keyword != "default");
        let only = match (keywords.next()?, keywords.next()) {
            (keyword, None) if keyword == "oneOf" || keyword == "anyOf" => keyword,
            _ => return None,
        };
        schema[only].as_array().cloned()
    };
    let (one, other) = (choices(before), choices(after));
    if one.is_some() || other.is_some() {
        let alone = |schema: &Value| vec![schema.clone()];
        let (one, other) =
            (one.unwrap_or_else(|| alone(before)), other.unwrap_or_else(|| alone(after)));
        return one.iter().all(|branch| other.iter().any(|wider| fits(branch, wider)));
    }
    let (Some(one), Some(other)) = (before.as_object(), after.as_object()) else { return false };
    let kinds = |schema: &Map<String, Value>| -> Vec<Value> {
        match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.clone(),
            kind => kind.cloned().into_iter().collect(),
        }
    };
    let subset = |one: &[Value], other: &[Value]| one.iter().all(|value| other.contains(value));
    let (least, greatest) = show::range(one);
    let (lower, higher) = show::range(other);
    let in_range = lower.is_none_or(|lower| least.is_some_and(|least| least >= lower))
        && higher.is_none_or(|higher| greatest.is_some_and(|greatest| greatest <= higher));
    let values =
        |schema: &Map<String, Value>| schema.get("enum").and_then(Value::as_array).cloned();
    let in_values = match (values(one), values(other)) {
        (Some(one), Some(other)) => subset(&one, &other),
        (None, None) => true,
        _ => false,
    };
    let is_integer = kinds(one).contains(&"integer".into());
    // A default concerns the place and not the value.
    let ranged = |keyword: &str| match keyword {
        "type" | "enum" | "default" => true,
        "format" | "minimum" | "maximum" => is_integer,
        _ => false,
    };
    let rest = |schema: &Map<String, Value>| -> Map<String, Value> {
        let rest = schema.iter().filter(|(keyword, _)| !ranged(keyword));
        rest.map(|(keyword, value)| (keyword.clone(), value.clone())).collect()
    };
    subset(&kinds(one), &kinds(other)) && in_range && in_values && rest(one) == rest(other)
}
