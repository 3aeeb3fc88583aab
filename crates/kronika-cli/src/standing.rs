//! How read models stand: what their file says, measured against the journal and against whether anybody runs.
//!
//! It only reads. The file is written by the service, which stores how a projection stands where that has changed.

use crate::{
    failure::Failure,
    forms::{Head, Standing},
    place,
};
use kronika_core::{ProjectionName, ReadModel, ReadModelId, Stage, Timestamp};
use kronika_sqlite::{SqliteLook, SqliteReadModels};
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

/// How old a report may be that no longer fits the journal. A service reports each second what has changed.
const REPORT_AGE_MAX: Duration = Duration::from_secs(10);
/// How old a rate may be. One that works on reports each second, one that rests reports nothing.
const RATE_AGE_MAX: Duration = Duration::from_secs(3);

/// What is seen of a data directory at one time.
pub struct Seen {
    pub standings: Vec<Standing>,
    /// Whether a process holds the directory.
    pub held: bool,
    /// How far the journal is, where it is published.
    pub head: Option<Head>,
}

/// The read models' file of a data directory, to be looked at.
pub fn look(data: &Path) -> Result<SqliteLook, Failure> {
    let path = place::read_models(data)?;
    Ok(SqliteReadModels::look(path)?)
}

/// How the read models of a data directory stand, or those of one projection.
pub fn read(data: &Path, name: Option<&ProjectionName>) -> Result<Seen, Failure> {
    let look = look(data)?;
    // Before the read models, so that none is ahead of it.
    let files = place::files(data)?;
    let published = files.published()?;
    let head = published.map(|(incarnation, position)| Head { incarnation, position });
    let held = files.is_held()?;
    let mut all = look.read_models()?;
    if let Some(name) = name {
        named(&all, name)?;
        all.retain(|read_model| read_model.id.name == *name);
    }
    let now = Timestamp::from_system(SystemTime::now());
    let standings = all.iter().map(|one| measured(one, head, held, now)).collect();
    Ok(Seen { standings, held, head })
}

/// Refuses a name that no read model has, with those that there are.
pub fn named(all: &[ReadModel], name: &ProjectionName) -> Result<(), Failure> {
    if all.iter().any(|read_model| read_model.id.name == *name) {
        return Ok(());
    }
    let mut names: Vec<_> = all.iter().map(|read_model| read_model.id.name.as_str()).collect();
    names.dedup();
    let there = match names.is_empty() {
        true => "none has been started yet".to_owned(),
        false => format!("there are {}", names.join(", ")),
    };
    Err(Failure::Words(format!("there is no projection {name}: {there}")))
}

/// The live read model of a projection, or another one of it, by its numbers.
pub fn choose<'a>(
    all: &'a [ReadModel],
    name: &ProjectionName,
    fits: impl Fn(&ReadModel) -> bool,
    which: &str,
) -> Result<&'a ReadModel, Failure> {
    named(all, name)?;
    let of_name = || all.iter().filter(|read_model| read_model.id.name == *name);
    // They are in order of generation and run: the newest one that fits.
    if let Some(found) = of_name().rfind(|read_model| fits(read_model)) {
        return Ok(found);
    }
    let number = |id: &ReadModelId| format!("{}.{}", id.generation, id.run);
    let there: Vec<_> =
        of_name().map(|one| format!("{} ({})", number(&one.id), one.stage)).collect();
    let there = there.join(", ");
    Err(Failure::Words(format!("there is no {which} read model of {name}: there are {there}")))
}

fn measured(read_model: &ReadModel, head: Option<Head>, held: bool, now: Timestamp) -> Standing {
    let mut standing = Standing::stored(read_model);
    // Where nobody runs, nothing starts, runs or tries again, whatever was said last.
    if !held && !matches!(&*standing.state, "paused" | "frozen" | "failed") {
        "stopped".clone_into(&mut standing.state);
    }
    let seen = read_model.checkpoint.as_ref().map(|checkpoint| &checkpoint.seen);
    if let Some(head) = head {
        let here = seen.is_none_or(|seen| seen.incarnation() == head.incarnation);
        if here {
            standing.lag_events = head.position.get().saturating_sub(standing.seen());
        }
        if standing.position.is_none() {
            standing.position = Some(kronika_core::Token::new(head.incarnation));
        }
    }
    if standing.lag_events == 0 {
        standing.lag_seconds = 0.0;
    }
    let age = standing.reported.map_or(Duration::MAX, |reported| now.since(reported));
    if !held || age > RATE_AGE_MAX {
        standing.events_per_second = 0.0;
    }
    standing.seconds_left = match standing.lag_events {
        0 => Some(0.0),
        lag if standing.events_per_second > 0.0 => Some(lag as f64 / standing.events_per_second),
        _ => None,
    };
    standing
}

impl Seen {
    /// What is to be said beside the figures.
    pub fn note(&self) -> Option<String> {
        let newest = self.standings.iter().filter_map(|standing| standing.reported).max();
        if !self.held {
            let last = newest.map_or(String::new(), |newest| {
                format!(", last reported {}", crate::output::time(newest))
            });
            return Some(format!("no service runs: as it was left{last}"));
        }
        let waits = |standing: &&Standing| {
            standing.lag_events > 0 && !matches!(&*standing.state, "paused" | "frozen" | "failed")
        };
        let now = Timestamp::from_system(SystemTime::now());
        let is_old = |standing: &&Standing| {
            standing.reported.is_none_or(|reported| now.since(reported) > REPORT_AGE_MAX)
        };
        let old = self.standings.iter().filter(waits).find(is_old)?;
        let since = match old.reported {
            Some(reported) => {
                format!("has reported nothing since {}", crate::output::time(reported))
            }
            None => "has reported nothing yet".to_owned(),
        };
        let (name, number) = (&old.name, old.number());
        Some(format!("{name} {number} {since}: does its service run, and is it well?"))
    }
}

/// Whether a read model is the live one.
pub fn is_live(read_model: &ReadModel) -> bool {
    read_model.stage == Stage::Live
}
