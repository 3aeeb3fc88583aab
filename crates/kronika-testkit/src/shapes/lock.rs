//! The lock file: what stands in it, and how it is read and written.

use super::{print::print, schema};
use kronika_core::{Column, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Number of the file's own form.
const FORMAT: u32 = 1;

/// All that stands in the file.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    pub about: String,
    pub format: u32,
    #[serde(default)]
    pub aggregates: BTreeMap<String, AggregateShapes>,
    #[serde(default)]
    pub projections: BTreeMap<String, Rows>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateShapes {
    /// By name and schema number: all that were ever recorded.
    pub events: BTreeMap<String, BTreeMap<u32, Value>>,
    /// The newest only: snapshots of an older schema are ignored.
    pub state: State,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub schema: u32,
    pub shape: Value,
}

/// Columns in their order, each as `name: kind`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    pub generation: u32,
    pub key: Vec<String>,
    pub row: Vec<String>,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            about: "The shapes that journals, snapshots and read models hold: written by the test that reads it."
                .to_owned(),
            format: FORMAT,
            aggregates: BTreeMap::new(),
            projections: BTreeMap::new(),
        }
    }
}

impl Lock {
    pub fn parse(text: &str) -> Result<Self, String> {
        let unreadable = |error: serde_json::Error| {
            format!("it is no lock file of shapes ({error}): take it from version control again")
        };
        let value: Value = serde_json::from_str(text).map_err(unreadable)?;
        match value["format"].as_u64() {
            Some(format) if format > FORMAT.into() => {
                return Err(format!(
                    "it is of format {format}, and this build knows {FORMAT}: use the newer kronika-testkit"
                ));
            }
            _ => {}
        }
        let mut lock: Self = serde_json::from_value(value).map_err(unreadable)?;
        for aggregate in lock.aggregates.values_mut() {
            let shapes = aggregate.events.values_mut().flat_map(BTreeMap::values_mut);
            // As this build writes them, whatever order they were left in by hand or by a merge.
            for shape in shapes.chain([&mut aggregate.state.shape]) {
                *shape = schema::cleaned(shape.take());
            }
        }
        Ok(lock)
    }

    pub fn text(&self) -> String {
        let mut value = serde_json::to_value(self).expect("texts, numbers and JSON");
        value.sort_all_objects();
        print(&value)
    }
}

pub(super) fn columns(columns: &[Column]) -> Vec<String> {
    let column = |Column { name, kind, nullable }: &Column| {
        let kind = match kind {
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Real => "real",
            Kind::Text => "text",
            Kind::Bytes => "bytes",
            Kind::Time => "time",
            other => return format!("{name}: {other:?}"),
        };
        format!("{name}: {kind}{}", if *nullable { " or null" } else { "" })
    };
    columns.iter().map(column).collect()
}
