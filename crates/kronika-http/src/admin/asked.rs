//! What is asked for by the last segment of a path and the fields of a body.

use super::{chosen::Meant, fields::Fields};
use crate::problem::Problem;
use kronika_core::{Act, ParkedRequest, ProjectionName, ReadModelId, WORKERS_MAX};

/// An act, as far as the request alone tells it.
pub(super) enum Asked {
    /// On a name.
    OnName(Act),
    /// On one of its read models, which is still to be found.
    On(Meant, OnReadModel),
}

type OnReadModel = Box<dyn FnOnce(ReadModelId) -> Act + Send>;

/// More is no bound.
const RATE_MAX: u64 = i64::MAX as u64;

const ACTS: &str = "rebuild, switch, pause, resume, throttle, workers and drop";

impl Asked {
    pub fn on(meant: Meant, act: impl FnOnce(ReadModelId) -> Act + Send + 'static) -> Self {
        Self::On(meant, Box::new(act))
    }

    /// Of the act's name, with the fields that belong to it alone.
    pub fn of(act: &str, name: &ProjectionName, fields: &mut Fields) -> Result<Self, Problem> {
        Ok(match act {
            "rebuild" => Self::OnName(Act::Rebuild {
                name: name.clone(),
                generation: fields.generation()?,
                hold: fields.flag("hold")?,
                events_per_second: fields.number("events_per_second", 1..=RATE_MAX)?,
            }),
            "switch" => Self::on(Meant::NotLive, Act::Switch),
            "pause" => Self::on(Meant::Live, Act::Pause),
            "resume" => Self::on(Meant::Live, Act::Resume),
            "throttle" => {
                let rate = fields.nullable("events_per_second", 1..=RATE_MAX)?;
                Self::on(Meant::Live, move |id| Act::Throttle(id, rate))
            }
            "workers" => {
                let workers = fields.needed("workers", 1..=u64::from(WORKERS_MAX))?;
                let workers = u16::try_from(workers).expect("it is within the range");
                Self::on(Meant::Live, move |id| Act::Workers(id, workers))
            }
            "drop" => Self::on(Meant::NotLive, Act::Drop),
            other => {
                let detail = format!("there is no act {other:?}; there are {ACTS}");
                return Err(Problem::not_found(detail));
            }
        })
    }
}

/// What can be done with parked keys, of those that are allowed here.
pub(super) fn request(name: &str, allowed: &[ParkedRequest]) -> Result<ParkedRequest, Problem> {
    let found = ParkedRequest::from_name(name).filter(|request| allowed.contains(request));
    found.ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|request| request.name()).collect();
        let detail = format!("{name:?} is nothing to do here; there are {}", names.join(", "));
        Problem::not_found(detail)
    })
}
