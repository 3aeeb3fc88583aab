//! How read models, parked keys, letters and acts are told to programs: the forms of the operator's API, which
//! grow by addition only.

use kronika_core::{ActRecord, Letter, ParkedKey, Position, ReadModel, Stage, Timestamp, Token};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// How a read model stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    pub name: String,
    pub generation: u32,
    pub run: u32,
    #[serde(serialize_with = "stage")]
    pub stage: Stage,
    pub state: String,
    /// Where nothing was seen yet and no journal says which history it is, there is no token.
    #[serde(serialize_with = "token")]
    pub position: Option<Token>,
    pub positions: Vec<PartitionPosition>,
    pub lag_events: u64,
    pub lag_seconds: f64,
    pub events: u64,
    pub events_per_second: f64,
    pub seconds_left: Option<f64>,
    pub parked: u64,
    pub letters: u64,
    pub workers: u16,
    pub events_per_second_max: Option<u64>,
    pub paused: bool,
    pub switching: bool,
    pub error: Option<String>,
    #[serde(serialize_with = "time_if_any")]
    pub reported: Option<Timestamp>,
}

/// How far it is in one partition of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PartitionPosition {
    pub partition: u16,
    pub position: u64,
}

impl Standing {
    /// As its store knows it, without what only the journal or the service knows.
    pub fn stored(read_model: &ReadModel) -> Self {
        let ReadModel { id, stage, wanted, checkpoint, parked, letters, report, .. } = read_model;
        let seen = checkpoint.as_ref().map(|checkpoint| &checkpoint.seen);
        let marks = seen.into_iter().flat_map(Token::marks);
        let state = match report {
            Some(report) => &report.state,
            None => "starting",
        };
        Self {
            name: id.name.to_string(),
            generation: id.generation.get(),
            run: id.run,
            stage: *stage,
            state: state.to_owned(),
            position: seen.cloned(),
            positions: marks
                .map(|mark| PartitionPosition {
                    partition: mark.partition.get(),
                    position: mark.position.get(),
                })
                .collect(),
            lag_events: report.as_ref().map_or(0, |report| report.lag_events),
            lag_seconds: report.as_ref().map_or(0.0, |report| report.lag.as_secs_f64()),
            events: checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.events),
            events_per_second: report.as_ref().map_or(0.0, |report| report.events_per_second),
            seconds_left: None,
            parked: *parked,
            letters: *letters,
            workers: wanted.workers,
            events_per_second_max: wanted.events_per_second,
            paused: wanted.paused,
            switching: wanted.switch,
            error: report.as_ref().and_then(|report| report.error.clone()),
            reported: report.as_ref().map(|report| report.at),
        }
    }

    /// Events that it has seen the positions of, over all partitions.
    pub fn seen(&self) -> u64 {
        self.positions.iter().map(|at| at.position).sum()
    }

    /// Written generation.run.
    pub fn number(&self) -> String {
        format!("{}.{}", self.generation, self.run)
    }
}

/// A parked key.
#[derive(Debug, Serialize)]
pub struct Key<'a> {
    key: &'a str,
    cause: &'a str,
    letters: u64,
    attempts: u32,
    #[serde(serialize_with = "time")]
    parked: Timestamp,
    asked: Option<&'static str>,
    first: LetterForm<'a>,
}

impl<'a> From<&'a ParkedKey> for Key<'a> {
    fn from(parked: &'a ParkedKey) -> Self {
        Self {
            key: parked.key.as_str(),
            cause: &parked.cause,
            letters: parked.letters,
            attempts: parked.attempts,
            parked: parked.parked,
            asked: parked.asked.map(kronika_core::ParkedRequest::name),
            first: LetterForm::from(&parked.first),
        }
    }
}

/// An event that waits.
#[derive(Debug, Serialize)]
pub struct LetterForm<'a> {
    partition: u16,
    position: u64,
    event: &'a str,
    stream: String,
    version: u64,
    #[serde(serialize_with = "time")]
    time: Timestamp,
}

impl<'a> From<&'a Letter> for LetterForm<'a> {
    fn from(letter: &'a Letter) -> Self {
        Self {
            partition: letter.partition.get(),
            position: letter.position.get(),
            event: &letter.event,
            stream: letter.stream.to_string(),
            version: letter.version.get(),
            time: letter.time,
        }
    }
}

/// An event that waits, with what the journal has of it. A body that is no JSON stands in base64; there is none
/// where the journal has another event there, or none.
#[derive(Debug, Serialize)]
pub struct LetterWithBody<'a> {
    #[serde(flatten)]
    pub letter: LetterForm<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// Something that was done by hand.
#[derive(Debug, Serialize)]
pub struct Act<'a> {
    number: u64,
    #[serde(serialize_with = "time")]
    at: Timestamp,
    who: &'a str,
    why: &'a str,
    act: &'a str,
}

impl<'a> From<&'a ActRecord> for Act<'a> {
    fn from(record: &'a ActRecord) -> Self {
        let ActRecord { number, at, by, act } = record;
        Self { number: *number, at: *at, who: &by.who, why: &by.why, act }
    }
}

/// How far the journal is, where it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub incarnation: kronika_core::Incarnation,
    pub position: Position,
}

fn stage<S: Serializer>(stage: &Stage, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(stage.name())
}

fn token<S: Serializer>(token: &Option<Token>, to: S) -> Result<S::Ok, S::Error> {
    token.as_ref().map(Token::to_string).serialize(to)
}

fn time<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::output::time(*time))
}

fn time_if_any<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    time.map(crate::output::time).serialize(to)
}
