//! Acts on read models: asked of the service that holds the directory, or else recorded for its next start.

use crate::{
    arguments::{Run, Target},
    failure::Failure,
    forms::Standing,
    output, place,
    socket::{self, Answer, Unanswered},
    standing::{self, choose, is_live},
};
use kronika_core::{
    Act, By, Generation, KeyText, ParkedRequest, ProjectionName, ReadModel, ReadModelId,
    ReadModelStore, Stage,
};
use kronika_log::{DirectoryLock, OpenError};
use kronika_sqlite::{SqliteReadModels, SqliteSettings};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use std::{fmt, io::ErrorKind, path::Path};

/// What is wished for a projection, as it was typed.
pub struct Wish {
    pub name: ProjectionName,
    /// The live one where it is not said; for what makes live or removes, another one.
    pub run: Option<Run>,
    pub what: What,
    pub by: By,
}

/// What is to be done.
pub enum What {
    Rebuild { generation: Option<Generation>, hold: bool, events_per_second: Option<u64> },
    Switch,
    Pause,
    Resume,
    Throttle(Option<u64>),
    Workers(u16),
    Drop,
    Parked(KeyText, ParkedRequest),
    AllParked(ParkedRequest),
}

/// Who took it on, and how the projection's read models stand then, as lines of JSON.
pub enum Taken {
    ByService(Vec<Box<RawValue>>),
    /// Nobody runs: recorded.
    Recorded {
        act: Act,
        standings: Vec<Standing>,
    },
}

/// Does it, and tells so.
pub fn run(target: &Target, run: Option<Run>, what: What) -> Result<(), Failure> {
    let by = By::new(&target.by.who, &target.by.why);
    let wish = Wish { name: target.name.clone(), run, what, by };
    let taken = take(&target.data.data, &wish)?;
    tell(target.json, &wish, &taken)
}

/// Tells who took it on.
pub fn tell(json: bool, wish: &Wish, taken: &Taken) -> Result<(), Failure> {
    let name = &wish.name;
    match taken {
        Taken::ByService(lines) => {
            let text =
                format!("the service does it: {wish}; `kronika projections {name}` shows it");
            output::print_all(json, lines, text)?;
        }
        Taken::Recorded { act, standings } => {
            let when = match act {
                Act::Drop(_) => "no service runs, it is done",
                _ => "recorded; no service runs, it is done at the next start",
            };
            output::print_all(json, standings, format!("{act}: {when}"))?;
        }
    }
    Ok(())
}

/// Has it done by whoever holds the directory, or records it where nobody does.
pub fn take(data: &Path, wish: &Wish) -> Result<Taken, Failure> {
    // Nothing is made where there is nothing.
    place::read_models(data)?;
    match DirectoryLock::acquire(data) {
        Ok(lock) => record(&lock, wish),
        Err(OpenError::InUse { holder, .. }) => ask(data, holder, wish).map(Taken::ByService),
        Err(other) => Err(other.into()),
    }
}

fn record(lock: &DirectoryLock, wish: &Wish) -> Result<Taken, Failure> {
    let data = lock.directory();
    // One of an older schema is brought to the present one by its service alone.
    let all = standing::look(data)?.read_models()?;
    let act = wish.act(&all)?;
    let store = SqliteReadModels::open(place::read_models(data)?, SqliteSettings::default())?;
    let acted = super::runtime()?.block_on(store.act(act.clone(), wish.by.clone()));
    store.close();
    acted?;
    // The last one of a name may be gone.
    let all = standing::read(data, None)?.standings;
    let of_name = |standing: &Standing| standing.name == wish.name.as_str();
    let standings = all.into_iter().filter(of_name).collect();
    Ok(Taken::Recorded { act, standings })
}

fn ask(data: &Path, holder: Option<u32>, wish: &Wish) -> Result<Vec<Box<RawValue>>, Failure> {
    let socket = socket::path(data);
    let (route, body) = (wish.route(), wish.body());
    let request = socket::post(&socket, &route, &body);
    let words = |words| Err(Failure::Words(words));
    match super::runtime()?.block_on(request) {
        Ok(answer) => standings(&answer),
        Err(Unanswered::NotConnected(error)) => Err(not_connected(data, holder, &error)),
        Err(Unanswered::Unknown(what)) => words(format!(
            "whoever holds {} was asked and did not answer: {what}; `kronika acts` tells whether it took it on",
            data.display()
        )),
    }
}

/// The directory is held, and its socket is not answered.
pub(super) fn not_connected(data: &Path, holder: Option<u32>, error: &std::io::Error) -> Failure {
    let socket = socket::path(data);
    let (data, socket) = (data.display(), socket.display());
    let holder = holder.map_or("another process".to_owned(), |id| format!("process {id}"));
    Failure::Words(match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{socket} may not be used: {error}; be the user that runs the service")
        }
        _ => format!(
            "{data} is in use by {holder}, which does not answer on {socket}: {error}; try again when it has \
             started, or stop it and try again"
        ),
    })
}

/// The projection's read models in the answer, as lines; or why there are none.
fn standings(answer: &Answer) -> Result<Vec<Box<RawValue>>, Failure> {
    #[derive(Deserialize)]
    struct List {
        projections: Vec<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Problem {
        title: Option<String>,
        detail: Option<String>,
    }
    if answer.status.is_success() {
        let list = serde_json::from_slice::<List>(&answer.body);
        return list.map(|list| list.projections).map_err(|error| {
            let words = format!(
                "the service took it on, but its answer cannot be read: {error}; use the release that it is of"
            );
            Failure::Words(words)
        });
    }
    let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
    let detail = problem.and_then(|problem| problem.detail.or(problem.title));
    let status = answer.status;
    let detail = detail.unwrap_or_else(|| format!("the service answered {status} and not why"));
    let advice = match status.as_u16() {
        404 => "; `kronika projections` tells what there is",
        429 | 503 => "; try again",
        500 => "; the service's log tells more",
        _ => "",
    };
    // A problem's text is one line, whatever it is about.
    Err(Failure::Words(format!("{}{advice}", output::plain(&detail))))
}

impl Wish {
    /// Where it is posted to.
    fn route(&self) -> String {
        let act = match &self.what {
            What::Rebuild { .. } => "rebuild",
            What::Switch => "switch",
            What::Pause => "pause",
            What::Resume => "resume",
            What::Throttle(_) => "throttle",
            What::Workers(_) => "workers",
            What::Drop => "drop",
            What::Parked(key, request) => {
                &format!("parked/{}/{}", socket::encoded(key.as_str()), request.name())
            }
            What::AllParked(request) => &format!("parked/{}", request.name()),
        };
        format!("/projections/{}/{act}", self.name)
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        put("who", json!(self.by.who));
        put("why", json!(self.by.why));
        if let Some(Run { generation, run }) = self.run {
            put("generation", json!(generation.get()));
            put("run", json!(run));
        }
        match self.what {
            What::Rebuild { generation, hold, events_per_second } => {
                put("hold", json!(hold));
                if let Some(generation) = generation {
                    put("generation", json!(generation.get()));
                }
                if let Some(rate) = events_per_second {
                    put("events_per_second", json!(rate));
                }
            }
            What::Throttle(rate) => drop(put("events_per_second", json!(rate))),
            What::Workers(workers) => drop(put("workers", json!(workers))),
            _ => {}
        }
        Value::Object(body)
    }

    /// The act on one of the read models that there are.
    fn act(&self, all: &[ReadModel]) -> Result<Act, Failure> {
        let name = self.name.clone();
        Ok(match &self.what {
            What::Rebuild { generation, hold, events_per_second } => {
                standing::named(all, &name)?;
                let (generation, hold, events_per_second) =
                    (*generation, *hold, *events_per_second);
                Act::Rebuild { name, generation, hold, events_per_second }
            }
            What::Switch => Act::Switch(self.not_live(all)?),
            What::Drop => Act::Drop(self.not_live(all)?),
            What::Pause => Act::Pause(self.live(all)?),
            What::Resume => Act::Resume(self.live(all)?),
            What::Throttle(rate) => Act::Throttle(self.live(all)?, *rate),
            What::Workers(workers) => Act::Workers(self.live(all)?, *workers),
            What::Parked(key, request) => Act::Parked(self.live(all)?, key.clone(), *request),
            What::AllParked(request) => Act::AllParked(self.live(all)?, *request),
        })
    }

    /// The one that was named, or the live one.
    fn live(&self, all: &[ReadModel]) -> Result<ReadModelId, Failure> {
        match self.run {
            Some(run) => self.of_run(all, run),
            None => choose(all, &self.name, is_live, "live").map(|found| found.id.clone()),
        }
    }

    /// The one that was named, or the one that is being built, or the only old one.
    fn not_live(&self, all: &[ReadModel]) -> Result<ReadModelId, Failure> {
        if let Some(run) = self.run {
            return self.of_run(all, run);
        }
        let is_building = |one: &ReadModel| one.stage == Stage::Building;
        if let Ok(found) = choose(all, &self.name, is_building, "building") {
            return Ok(found.id.clone());
        }
        let is_old = |one: &ReadModel| one.stage == Stage::Old;
        let found = choose(all, &self.name, is_old, "other")?;
        let old = all.iter().filter(|one| one.id.name == self.name && is_old(one));
        match old.count() {
            1 => Ok(found.id.clone()),
            count => {
                let words =
                    format!("there are {count} old read models of {}: say which one", self.name);
                Err(Failure::Words(words))
            }
        }
    }

    fn of_run(&self, all: &[ReadModel], run: Run) -> Result<ReadModelId, Failure> {
        let fits = |one: &ReadModel| (one.id.generation, one.id.run) == (run.generation, run.run);
        choose(all, &self.name, fits, "such").map(|found| found.id.clone())
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::Rebuild { .. } => write!(f, "rebuild {name}"),
            What::Switch => write!(f, "switch {name}"),
            What::Pause => write!(f, "pause {name}"),
            What::Resume => write!(f, "resume {name}"),
            What::Throttle(Some(rate)) => write!(f, "throttle {name} to {rate} events/s"),
            What::Throttle(None) => write!(f, "throttle {name} no more"),
            What::Workers(workers) => write!(f, "{workers} workers for {name}"),
            What::Drop => write!(f, "drop a read model of {name}"),
            What::Parked(key, request) => write!(f, "{} key {key} of {name}", request.name()),
            What::AllParked(request) => {
                write!(f, "{} all parked keys of {name}", request.name())
            }
        }?;
        match self.run {
            Some(Run { generation, run }) => write!(f, " (generation {generation}, run {run})"),
            None => Ok(()),
        }
    }
}
