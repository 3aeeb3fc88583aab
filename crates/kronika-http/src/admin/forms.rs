//! The forms in which operators are told of read models, parked keys, letters and acts.

use crate::events::Time;
use kronika_core::{
    ActRecord, Letter, ParkedKey, ProjectionName, ReadModel, ReadModelId, Timestamp, Token, Wanted,
};
use kronika_runtime::{ProjectionState, ProjectionStatus, Projections};
use serde::Serialize;
use std::time::Duration;

/// Few enough for one answer: there is never a next page.
#[derive(Serialize)]
pub(super) struct ProjectionList {
    pub projections: Vec<ProjectionForm>,
    pub next: Option<()>,
}

/// Parked keys in order; `next` is the last of them where there are more.
#[derive(Serialize)]
pub(super) struct ParkedList {
    pub parked: Vec<ParkedForm>,
    pub next: Option<String>,
}

/// The newest acts: older ones are told to who asks for more.
#[derive(Serialize)]
pub(super) struct ActList {
    pub acts: Vec<ActForm>,
    pub next: Option<()>,
}

/// A read model: how it stands now, and what is wished for it.
#[derive(Serialize)]
pub(crate) struct ProjectionForm {
    name: String,
    generation: u32,
    run: u32,
    stage: &'static str,
    state: String,
    position: String,
    positions: Vec<PositionForm>,
    lag_events: u64,
    lag_seconds: f64,
    events: u64,
    events_per_second: f64,
    seconds_left: Option<f64>,
    parked: u64,
    letters: u64,
    workers: u16,
    events_per_second_max: Option<u64>,
    paused: bool,
    switching: bool,
    error: Option<String>,
    reported: Option<Time>,
}

#[derive(Serialize)]
struct PositionForm {
    partition: u16,
    position: u64,
}

fn positions(token: &Token) -> Vec<PositionForm> {
    let form = |mark: kronika_core::Mark| PositionForm {
        partition: mark.partition.get(),
        position: mark.position.get(),
    };
    token.marks().map(form).collect()
}

impl ProjectionForm {
    /// One that this service knows of: its figures are fresh. The wishes are the store's, where it has them.
    fn known(status: &ProjectionStatus, stored: Option<&ReadModel>, now: Timestamp) -> Self {
        let wanted = stored.map(|stored| stored.wanted.clone()).unwrap_or_default();
        let left = status.time_left().filter(|left| *left < Duration::MAX);
        // Before it has opened its checkpoint it knows no better than the store.
        let begins = status.state == ProjectionState::Starting;
        let checkpoint = stored.and_then(|stored| stored.checkpoint.as_ref()).filter(|_| begins);
        let seen = checkpoint.map_or(&status.seen, |checkpoint| &checkpoint.seen);
        Self {
            state: status.state.name().to_owned(),
            position: seen.to_string(),
            positions: positions(seen),
            lag_events: status.lag_events,
            lag_seconds: status.lag.as_secs_f64(),
            events: checkpoint.map_or(status.events, |checkpoint| checkpoint.events),
            events_per_second: status.events_per_second,
            seconds_left: left.map(|left| left.as_secs_f64()),
            parked: stored.map_or(status.parked.len() as u64, |stored| stored.parked),
            letters: stored.map_or(0, |stored| stored.letters),
            error: status.error.as_ref().map(ToString::to_string),
            reported: Some(Time(now)),
            ..Self::wished(&status.id(), status.stage.name(), &wanted)
        }
    }

    /// One that only the store knows of, with what was last reported of it. Where its name is registered it is about
    /// to start; else nobody here handles its events.
    fn stored(stored: &ReadModel, registered: bool, empty: &Token) -> Self {
        let checkpoint = stored.checkpoint.as_ref();
        let seen = checkpoint.map_or(empty, |checkpoint| &checkpoint.seen);
        let report = stored.report.as_ref();
        let state = if registered { ProjectionState::Starting } else { ProjectionState::Frozen };
        Self {
            state: state.name().to_owned(),
            position: seen.to_string(),
            positions: positions(seen),
            lag_events: report.map_or(0, |report| report.lag_events),
            lag_seconds: report.map_or(0.0, |report| report.lag.as_secs_f64()),
            events: checkpoint.map_or(0, |checkpoint| checkpoint.events),
            parked: stored.parked,
            letters: stored.letters,
            error: report.and_then(|report| report.error.clone()),
            reported: report.map(|report| Time(report.at)),
            ..Self::wished(&stored.id, stored.stage.name(), &stored.wanted)
        }
    }

    fn wished(id: &ReadModelId, stage: &'static str, wanted: &Wanted) -> Self {
        Self {
            name: id.name.to_string(),
            generation: id.generation.get(),
            run: id.run,
            stage,
            state: String::new(),
            position: String::new(),
            positions: Vec::new(),
            lag_events: 0,
            lag_seconds: 0.0,
            events: 0,
            events_per_second: 0.0,
            seconds_left: None,
            parked: 0,
            letters: 0,
            workers: wanted.workers,
            events_per_second_max: wanted.events_per_second,
            paused: wanted.paused,
            switching: wanted.switch,
            error: None,
            reported: None,
        }
    }
}

/// All read models, or those of one name, in order of name, generation and run.
pub(super) fn projections(
    running: &Projections,
    stored: &[ReadModel],
    name: Option<&ProjectionName>,
    empty: &Token,
) -> Vec<ProjectionForm> {
    let (statuses, now) = (running.status_of_all(), running.now());
    let asked = |other: &ProjectionName| name.is_none_or(|name| name == other);
    // What the store has dropped may still be on its way out here.
    let is_new = |status: &&ProjectionStatus| !stored.iter().any(|it| it.id.name == status.name);
    let new = statuses.iter().filter(is_new).filter(|status| asked(&status.name));
    let new = new.map(|status| ProjectionForm::known(status, None, now));
    let form = |stored: &ReadModel| {
        let status = statuses.iter().find(|status| status.id() == stored.id);
        let registered = running.names().any(|name| name == stored.id.name.as_str());
        status.map_or_else(
            || ProjectionForm::stored(stored, registered, empty),
            |status| ProjectionForm::known(status, Some(stored), now),
        )
    };
    let stored = stored.iter().filter(|stored| asked(&stored.id.name)).map(form);
    let mut all: Vec<_> = stored.chain(new).collect();
    all.sort_by(|one, other| {
        let place = |it: &ProjectionForm| (it.generation, it.run);
        one.name.cmp(&other.name).then(place(one).cmp(&place(other)))
    });
    all
}

/// A parked key.
#[derive(Serialize)]
pub(super) struct ParkedForm {
    key: String,
    cause: String,
    letters: u64,
    attempts: u32,
    parked: Time,
    asked: Option<&'static str>,
    first: LetterForm,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letters_listed: Option<LettersListed>,
}

/// Some of its letters; `next` is how many came before the rest.
#[derive(Serialize)]
pub(super) struct LettersListed {
    pub letters: Vec<LetterForm>,
    pub next: Option<u64>,
}

impl From<ParkedKey> for ParkedForm {
    fn from(parked: ParkedKey) -> Self {
        Self {
            key: parked.key.to_string(),
            cause: parked.cause,
            letters: parked.letters,
            attempts: parked.attempts,
            parked: Time(parked.parked),
            asked: parked.asked.map(|asked| asked.name()),
            first: parked.first.into(),
            letters_listed: None,
        }
    }
}

/// An event that waits.
#[derive(Serialize)]
pub(super) struct LetterForm {
    partition: u16,
    position: u64,
    event: String,
    stream: String,
    version: u64,
    time: Time,
}

impl From<Letter> for LetterForm {
    fn from(letter: Letter) -> Self {
        Self {
            partition: letter.partition.get(),
            position: letter.position.get(),
            event: letter.event.to_string(),
            stream: letter.stream.name().to_owned(),
            version: letter.version.get(),
            time: Time(letter.time),
        }
    }
}

/// What was asked for.
#[derive(Serialize)]
pub(super) struct ActForm {
    number: u64,
    at: Time,
    who: String,
    why: String,
    act: String,
}

impl From<ActRecord> for ActForm {
    fn from(record: ActRecord) -> Self {
        let ActRecord { number, at, by, act } = record;
        Self { number, at: Time(at), who: by.who, why: by.why, act }
    }
}
