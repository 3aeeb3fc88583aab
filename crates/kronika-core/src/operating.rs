//! How read models are operated: what is wished for stands in their store, and the runner follows it.
//!
//! So a tool can act on a store that nobody serves, and a service does later what was asked for while it was
//! down. Each act is recorded with who and why.

use crate::{
    ids::Timestamp,
    parking::{KeyText, ParkedRequest},
    read_model::{Checkpoint, Generation, ProjectionName, ReadModelId, StoreFault},
};
use std::{fmt, time::Duration};

/// What a read model is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Built beside the live one, not shown yet.
    Building,
    /// Shown under the projection's plain name: what queries read.
    Live,
    /// Was live: fed on where its handler is still there, until it is dropped.
    Old,
}

impl Stage {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Live => "live",
            Self::Old => "old",
        }
    }

    /// From that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Building, Self::Live, Self::Old].into_iter().find(|stage| stage.name() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wished for a read model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Handles nothing until it is resumed.
    pub paused: bool,
    /// Events in a second, at most.
    pub events_per_second: Option<u64>,
    /// Parts in which its events are decoded and folded beside each other.
    pub workers: u16,
    /// Becomes the live one as soon as it has seen what the live one has.
    pub switch: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { paused: false, events_per_second: None, workers: 1, switch: false }
    }
}

/// How a read model's projection stood when it last said so.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// When it said so.
    pub at: Timestamp,
    /// What it does, in one word.
    pub state: String,
    /// Events of any type between what it has seen and the journal's head.
    pub lag_events: u64,
    /// Age of the oldest event that it is to handle and has not.
    pub lag: Duration,
    /// Events handled in a second, over the last seconds.
    pub events_per_second: f64,
    /// What went wrong last, with its event.
    pub error: Option<String>,
}

/// A read model as its store knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadModel {
    /// Which one.
    pub id: ReadModelId,
    /// What it is for.
    pub stage: Stage,
    /// What is wished for.
    pub wanted: Wanted,
    /// How far it has come; `None` before its first opening.
    pub checkpoint: Option<Checkpoint>,
    /// Keys that wait.
    pub parked: u64,
    /// Events that wait for them.
    pub letters: u64,
    /// When it was begun.
    pub begun: Timestamp,
    /// How its projection stood last; `None` before it said anything.
    pub report: Option<Report>,
}

/// Who acts, and why: recorded with the act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

/// Longest name of who acts and longest reason, in bytes. What is longer is cut.
pub const BY_BYTES_MAX: usize = 1024;

impl By {
    /// Who, and why; each cut at [`BY_BYTES_MAX`].
    pub fn new(who: &str, why: &str) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(BY_BYTES_MAX)].to_owned();
        Self { who: cut(who), why: cut(why) }
    }
}

/// Something that an operator wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Act {
    /// Build a projection's read model anew, beside the live one: another run of a generation.
    Rebuild {
        /// The projection.
        name: ProjectionName,
        /// The generation; that of the live one if `None`.
        generation: Option<Generation>,
        /// Do not switch to it by itself.
        hold: bool,
        /// Events in a second, at most.
        events_per_second: Option<u64>,
    },
    /// Make this one live, as soon as it has seen what the live one has.
    Switch(ReadModelId),
    /// Handle nothing until it is resumed.
    Pause(ReadModelId),
    /// Go on.
    Resume(ReadModelId),
    /// Events in a second, at most.
    Throttle(ReadModelId, Option<u64>),
    /// In how many parts its events are decoded and folded beside each other, from 1 to [`WORKERS_MAX`].
    Workers(ReadModelId, u16),
    /// Do something with a parked key.
    Parked(ReadModelId, KeyText, ParkedRequest),
    /// Do something with all parked keys.
    AllParked(ReadModelId, ParkedRequest),
    /// Remove one that is not live, with its tables.
    Drop(ReadModelId),
}

impl Act {
    /// The projection that it is about.
    pub fn name(&self) -> &ProjectionName {
        match self {
            Self::Rebuild { name, .. } => name,
            Self::Switch(id)
            | Self::Pause(id)
            | Self::Resume(id)
            | Self::Throttle(id, _)
            | Self::Workers(id, _)
            | Self::Parked(id, ..)
            | Self::AllParked(id, _)
            | Self::Drop(id) => &id.name,
        }
    }
}

/// Most workers of a read model.
pub const WORKERS_MAX: u16 = 64;

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebuild { name, generation, hold, events_per_second } => {
                write!(f, "rebuild {name}")?;
                if let Some(generation) = generation {
                    write!(f, " in generation {generation}")?;
                }
                if let Some(rate) = events_per_second {
                    write!(f, " with {rate} events/s at most")?;
                }
                if *hold { f.write_str(" and hold") } else { Ok(()) }
            }
            Self::Switch(id) => write!(f, "switch to {id}"),
            Self::Pause(id) => write!(f, "pause {id}"),
            Self::Resume(id) => write!(f, "resume {id}"),
            Self::Throttle(id, Some(rate)) => write!(f, "throttle {id} to {rate} events/s"),
            Self::Throttle(id, None) => write!(f, "throttle {id} no more"),
            Self::Workers(id, workers) => write!(f, "{workers} workers for {id}"),
            Self::Parked(id, key, request) => write!(f, "{} key {key} of {id}", request.name()),
            Self::AllParked(id, request) => {
                write!(f, "{} all parked keys of {id}", request.name())
            }
            Self::Drop(id) => write!(f, "drop {id}"),
        }
    }
}

/// An act as it was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActRecord {
    /// Its number, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who, and why.
    pub by: By,
    /// What, as [`Act`] is written.
    pub act: String,
}

/// Why an act was not taken on. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things stand; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What is known of the history that the live read model is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LiveHistory {
    /// Nothing else than what its checkpoint says.
    #[default]
    Unquestioned,
    /// It has seen events that the journal does not have: what it has seen is not worth waiting for.
    Diverged,
}

/// Why one read model did not become the live one. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// It has not seen all that the live one has: go on and try again.
    #[error("{id} has not seen all that the live one has")]
    Behind {
        /// Which one.
        id: ReadModelId,
    },
    /// Queries would read backwards: a key is parked in it that is not parked, or later, in the live one.
    #[error(
        "key {key} is parked in {id} but not, or later, in the live one: retry, skip or drop it first"
    )]
    Parked {
        /// Which one.
        id: ReadModelId,
        /// The key.
        key: KeyText,
    },
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreFault),
}
