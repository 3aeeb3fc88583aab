//! What to write: each fault in a paragraph, with the lines that mend it.

use super::{
    compare::{Change, ChangeKind, NOT_THERE, changes},
    lock::{Rows, State},
};
use serde_json::Value;
use std::fmt::{self, Display, Write};

/// Where an event stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub aggregate: &'a str,
    pub event: &'a str,
    pub schema: u32,
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aggregate {}, event {}, schema {}", self.aggregate, self.event, self.schema)
    }
}

/// An event whose shape was changed under its schema number.
pub(super) fn event(place: Place<'_>, changes: &[Change]) -> String {
    let schema = place.schema;
    let next = schema + 1;
    let steps = if schema > 1 { "…, " } else { "" };
    // `…` stands for the steps that are there.
    let mut text = format!("{place}\n{}\n", list(changes));
    if changes.iter().all(|change| change.kind == ChangeKind::Widened) {
        text.push_str(&format!(
            "  what is recorded is read as it is, and older builds would misread what comes: write on the variant\n\n    \
             #[event(schema = {next}, upcast({steps}{schema}))]\n"
        ));
    } else {
        let lift = lift(place);
        text.push_str(&format!(
            "  write on the variant, and beside the enum\n\n    \
             #[event(schema = {next}, upcast({steps}{schema} => {lift}))]\n\n{}\n",
            function(place, Place { schema: next, ..place }, changes)
        ));
    }
    let is_new = |change: &&Change| change.before == NOT_THERE && change.kind == ChangeKind::Other;
    for Change { path, .. } in changes.iter().filter(is_new) {
        text.push_str(&format!("  or let {path} be absent: an `Option`, or `#[serde(default)]`\n"));
    }
    text.push_str(&never_recorded(place));
    text
}

/// A step without a function, whose bodies do not fit what it leads to.
pub(super) fn step(place: Place<'_>, to: Place<'_>, changes: &[Change]) -> String {
    let Place { event, schema, .. } = place;
    let from =
        if event == to.event { schema.to_string() } else { format!("({event:?}, {schema})") };
    format!(
        "{place}\n{}\n  the step to {}, schema {}, has no function, and bodies do not fit as they are: write on the \
         variant, and beside the enum\n\n    #[event(…, upcast({from} => {}))]\n\n{}",
        list(changes),
        to.event,
        to.schema,
        lift(place),
        function(place, to, changes)
    )
}

/// Name of the function that lifts it.
fn lift(place: Place<'_>) -> String {
    format!("{}_from_{}", place.event.replace('-', "_"), place.schema)
}

/// A function that lifts the body: renamed fields as lines, what must be thought about as comments.
fn function(place: Place<'_>, to: Place<'_>, changes: &[Change]) -> String {
    let Place { event, schema, .. } = place;
    let to = if event == to.event { to.schema.to_string() } else { format!("`{}`", to.event) };
    let plain = |path: &str| !path.is_empty() && !path.contains(['.', '[', '(', '{']);
    let is_line = |change: &&Change| {
        change.kind == ChangeKind::Renamed && plain(&change.path) && plain(&change.after)
    };
    let (lines, thoughts): (Vec<_>, Vec<_>) = changes
        .iter()
        .filter(|change| change.kind != ChangeKind::Widened)
        .partition(|change| is_line(change));
    let mutable = if lines.is_empty() { "" } else { "mut " };
    let mut text = format!(
        "    /// Lifts the body of `{event}` from schema {schema} to {to}.\n    \
         fn {}({mutable}body: serde_json::Value) -> kronika::Lifted {{\n",
        lift(place)
    );
    if !lines.is_empty() {
        text.push_str(
            "        let fields = body.as_object_mut().ok_or(\"the body is no object\")?;\n",
        );
    }
    for Change { path, after, .. } in lines {
        text.push_str(&format!(
            "        if let Some(value) = fields.remove(\"{path}\") {{\n            \
             fields.insert(\"{after}\".to_owned(), value);\n        }}\n"
        ));
    }
    for Change { path, before, after, kind } in thoughts {
        text.push_str(&match kind {
            ChangeKind::Renamed => format!("        // {path} has become {after}\n"),
            _ => format!("        // {}: {before} -> {after}\n", at(path)),
        });
    }
    text.push_str("        Ok(body)\n    }\n");
    text
}

/// An event of the file that no variant and no step reads.
pub(super) fn unread(place: Place<'_>, newest: Option<u32>, alike: &[&str]) -> String {
    let Place { event, schema, .. } = place;
    let why = match newest {
        Some(newest) if newest < schema => format!(
            "  this build knows the event up to schema {newest} only: write on the variant\n\n    \
             #[event(schema = {schema}, …)]\n"
        ),
        Some(newest) => format!(
            "  no step leads from it to schema {newest}: write on the variant, with `=> lift` if the body changes,\n  \
             and without an `oldest` beyond it\n\n    \
             #[event(schema = {newest}, upcast({schema}, …))]\n"
        ),
        None => format!(
            "  no event of this name is left, and nothing reads what is recorded: write on the variant that it became{}\n\n    \
             #[event(upcast((\"{event}\", {schema})))]\n\n  \
             with `=> lift` if the body changes, or `#[event(name = \"{event}\")]` if only the variant was renamed\n",
            match alike {
                [] => String::new(),
                names => format!(" ({} has this shape)", names.join(", ")),
            }
        ),
    };
    format!("{place}\n{why}{}", never_recorded(place))
}

fn never_recorded(place: Place<'_>) -> String {
    format!(
        "  or, if schema {} was never recorded outside of tests, take it out of the file first",
        place.schema
    )
}

pub(super) fn state(aggregate: &str, before: &Value, present: &State) -> String {
    let next = present.schema + 1;
    let mut found = changes(before, &present.shape);
    if found.is_empty() {
        // Only new fields that may be absent: what is gone on the way back.
        let back = changes(&present.shape, before).into_iter();
        found = back
            .map(|Change { path, before, after, kind }| Change {
                path,
                before: after,
                after: before,
                kind,
            })
            .collect();
    }
    format!(
        "aggregate {aggregate}, state\n{}\n  raise the schema, so that older snapshots are ignored\n\n    \
         const STATE_SCHEMA: u32 = {next};",
        list(&found)
    )
}

pub(super) fn rows(projection: &str, locked: &Rows, present: &Rows) -> String {
    let mut text = format!("projection {projection}, columns\n");
    for (what, before, after) in
        [("key", &locked.key, &present.key), ("row", &locked.row, &present.row)]
    {
        let gone = before.iter().filter(|column| !after.contains(column));
        let new = after.iter().filter(|column| !before.contains(column));
        let mut lines: Vec<_> = gone.map(|column| format!("- {column}")).collect();
        lines.extend(new.map(|column| format!("+ {column}")));
        if lines.is_empty() && before != after {
            lines.push("the order is another one".to_owned());
        }
        for line in lines {
            writeln!(text, "  {what}: {line}").expect("a text takes all");
        }
    }
    let next = present.generation + 1;
    text.push_str(&format!(
        "  raise the generation, so that the read model is built anew\n\n    const GENERATION: u32 = {next};"
    ));
    text
}

pub(super) fn went_back(what: &str, constant: &str, before: u32, after: u32) -> String {
    format!(
        "{what}\n  {constant} is {after} and was {before} already: what was kept under {before} may be of another shape\n\n    \
         const {constant}: u32 = {};",
        before + 1
    )
}

/// Named in the file, and not in the test.
pub(super) fn not_named(what: &str, name: &str) -> String {
    format!(
        "{what} {name}\n  stands in the file and is not named in the test: name it, or take it out of the file if the \
         service no longer has it"
    )
}

fn list(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let Change { path, before, after, kind } = change;
        match kind {
            ChangeKind::Renamed => {
                format!("  {path}: is gone, and {after} has its shape: {before}")
            }
            _ => format!("  {}\n    before: {before}\n    after:  {after}", at(path)),
        }
    };
    match changes {
        [] => "  is of another shape".to_owned(),
        changes => changes.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

fn at(path: &str) -> &str {
    if path.is_empty() { "the body" } else { path }
}
