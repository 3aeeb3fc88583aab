//! What the file holds against what this build has: faults, news, and the file as it should be.

use super::{
    advice::{self, Place},
    compare::{ChangeKind, changes},
    lock::{AggregateShapes, Lock, Rows, State},
};
use kronika_core::{EventKind, Upcast};
use serde_json::Value;
use std::collections::BTreeMap;

/// An aggregate as this build has it.
pub(super) struct PresentAggregate {
    pub events: Vec<(EventKind, Value)>,
    /// The steps from older shapes.
    pub steps: &'static [Upcast],
    /// What an older shape is read as.
    pub lifts_to: fn(&str, u32) -> Option<&'static EventKind>,
    pub state_schema: u32,
    pub state: Value,
}

pub(super) struct Judged {
    pub faults: Vec<String>,
    pub news: Vec<String>,
    /// What was locked and what is new. Only to be written where there are no faults.
    pub renewed: Lock,
}

pub(super) fn judge(
    locked: Lock,
    aggregates: &BTreeMap<String, PresentAggregate>,
    projections: &BTreeMap<String, Rows>,
) -> Judged {
    let mut judged = Judged { faults: Vec::new(), news: Vec::new(), renewed: locked };
    let of_aggregates =
        judged.renewed.aggregates.keys().filter(|name| !aggregates.contains_key(*name));
    let gone: Vec<_> = of_aggregates.map(|name| advice::not_named("aggregate", name)).collect();
    judged.faults.extend(gone);
    let of_projections =
        judged.renewed.projections.keys().filter(|name| !projections.contains_key(*name));
    let gone: Vec<_> = of_projections.map(|name| advice::not_named("projection", name)).collect();
    judged.faults.extend(gone);
    for (name, present) in aggregates {
        judged.aggregate(name, present);
    }
    for (name, rows) in projections {
        judged.rows(name, rows);
    }
    judged
}

impl Judged {
    fn aggregate(&mut self, name: &str, present: &PresentAggregate) {
        let state = State { schema: present.state_schema, shape: present.state.clone() };
        let Some(locked) = self.renewed.aggregates.get(name) else {
            let mut events: BTreeMap<String, BTreeMap<u32, Value>> = BTreeMap::new();
            for (kind, shape) in &present.events {
                events.entry(kind.name.to_owned()).or_default().insert(kind.schema, shape.clone());
            }
            self.renewed.aggregates.insert(name.to_owned(), AggregateShapes { events, state });
            self.news.push(format!("aggregate {name}: is new"));
            return;
        };
        let mut locked = locked.clone();
        for (event, shapes) in &locked.events {
            for (schema, shape) in shapes {
                let place = Place { aggregate: name, event, schema: *schema };
                self.faults.extend(event_fault(place, shape, &locked, present));
            }
        }
        for (kind, shape) in &present.events {
            let place = Place { aggregate: name, event: kind.name, schema: kind.schema };
            let shapes = locked.events.entry(kind.name.to_owned()).or_default();
            let before = shapes.insert(kind.schema, shape.clone());
            match before {
                None if shapes.len() == 1 => self.news.push(format!("{place}: the event is new")),
                None => self.news.push(format!("{place}: the schema is new")),
                // Every other difference is a fault.
                Some(before) if before != *shape => {
                    self.news.push(format!("{place}: has new fields that may be absent"));
                }
                Some(_) => {}
            }
        }
        for step in present.steps.iter().filter(|step| step.lift.is_none()) {
            self.faults.extend(step_fault(name, step, &locked));
        }
        self.state(name, &locked.state, &state);
        locked.state = state;
        self.renewed.aggregates.insert(name.to_owned(), locked);
    }

    fn state(&mut self, name: &str, locked: &State, present: &State) {
        let (before, after) = (locked.schema, present.schema);
        if after < before {
            self.faults.push(advice::went_back(
                &format!("aggregate {name}"),
                "STATE_SCHEMA",
                before,
                after,
            ));
        } else if after > before {
            self.news.push(format!(
                "aggregate {name}: the state has schema {after}, which was {before}"
            ));
        } else if locked.shape != present.shape {
            self.faults.push(advice::state(name, &locked.shape, present));
        }
    }

    fn rows(&mut self, name: &str, present: &Rows) {
        match self.renewed.projections.get(name) {
            None => self.news.push(format!("projection {name}: is new")),
            Some(locked) => {
                let (before, after) = (locked.generation, present.generation);
                if after < before {
                    let what = format!("projection {name}");
                    self.faults.push(advice::went_back(&what, "GENERATION", before, after));
                } else if after > before {
                    self.news.push(format!(
                        "projection {name}: has generation {after}, which was {before}"
                    ));
                } else if locked != present {
                    self.faults.push(advice::rows(name, locked, present));
                }
            }
        }
        self.renewed.projections.insert(name.to_owned(), present.clone());
    }
}

/// What is wrong with a shape that was recorded, if anything.
fn event_fault(
    place: Place<'_>,
    before: &Value,
    locked: &AggregateShapes,
    present: &PresentAggregate,
) -> Option<String> {
    let now = present.events.iter().find(|(kind, _)| kind.name == place.event);
    if let Some((kind, after)) = now
        && kind.schema == place.schema
    {
        let changes = changes(before, after);
        return (!changes.is_empty()).then(|| advice::event(place, &changes));
    }
    if (present.lifts_to)(place.event, place.schema).is_some() {
        return None;
    }
    let newest = now.map(|(kind, _)| kind.schema);
    // A new event of the very shape is likely the old one under a new name.
    let new = present.events.iter().filter(|(kind, _)| !locked.events.contains_key(kind.name));
    let alike: Vec<_> =
        new.filter(|(_, shape)| shape == before).map(|(kind, _)| kind.name).collect();
    Some(advice::unread(place, newest, &alike))
}

/// What is wrong with a step that leaves the body as it is, if both its ends are known.
fn step_fault(aggregate: &str, step: &Upcast, locked: &AggregateShapes) -> Option<String> {
    let shape = |kind: &EventKind| locked.events.get(kind.name)?.get(&kind.schema);
    let mut changes = changes(shape(&step.from)?, shape(&step.to)?);
    changes.retain(|change| change.kind != ChangeKind::Widened);
    let place = |kind: EventKind| Place { aggregate, event: kind.name, schema: kind.schema };
    (!changes.is_empty()).then(|| advice::step(place(step.from), place(step.to), &changes))
}
