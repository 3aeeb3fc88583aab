//! What the commands take that look at read models and act on them.

use super::{Data, Form};
use clap::{ArgGroup, Args};
use kronika_core::{Generation, KeyText, ProjectionName, Timestamp, WORKERS_MAX};
use std::path::PathBuf;

/// One building of a projection's read model, written generation.run, such as 2.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub generation: Generation,
    pub run: u32,
}

/// Shows how projections stand: how far they are, how fast, and what went wrong.
///
/// It reads the read models' file, beside the running service and without one. The lag is counted against the head of
/// the journal as it is now; state, rate and errors are what the service last reported. A read model is told by the
/// generation of its handler and its run, the number of its building, such as 2.1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika projections --data shop-data
  kronika projections --data shop-data orders --watch
  kronika projections --data shop-data --json | jq 'select(.lag_events > 1000) | .name'")]
pub struct Projections {
    #[command(flatten)]
    pub data: Data,
    /// Only this one.
    #[arg(value_parser = name)]
    pub name: Option<ProjectionName>,
    /// Shows it anew each second, until it is stopped.
    #[arg(long)]
    pub watch: bool,
    /// Prints one JSON object on one line for each read model.
    #[arg(long)]
    pub json: bool,
}

/// Lists the parked keys of a projection, or what waits for one of them.
///
/// A key is parked when one of its events cannot be handled: that event and all later ones of the key wait, and nobody
/// else does. With a key it prints the events that wait, with their bodies from the journal. `retry`, `skip` and
/// `drop-key` say what is to be done.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika parked --data shop-data orders
  kronika parked --data shop-data orders 17
  kronika parked --data shop-data orders --json | jq -r .key")]
pub struct Parked {
    #[command(flatten)]
    pub data: Data,
    /// The projection.
    #[arg(value_parser = name)]
    pub name: ProjectionName,
    /// The key, as it is listed; one that begins with - stands behind --.
    #[arg(value_parser = key, allow_negative_numbers = true)]
    pub key: Option<KeyText>,
    /// Of this generation instead of the live one.
    #[arg(long, value_name = "G", value_parser = generation)]
    pub generation: Option<Generation>,
    /// Of this run of the generation instead of its newest one.
    #[arg(long, value_name = "R", requires = "generation", value_parser = clap::value_parser!(u32).range(1..))]
    pub run: Option<u32>,
    /// Prints one JSON object on one line for each key or event.
    #[arg(long)]
    pub json: bool,
}

/// Lists what was done by hand: who, why and when, newest first.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika acts --data shop-data
  kronika acts --data shop-data --limit 3 --json")]
pub struct Acts {
    #[command(flatten)]
    pub data: Data,
    /// So many at most; the newest 10000 are kept.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Prints one JSON object on one line for each act.
    #[arg(long)]
    pub json: bool,
}

/// Handles a projection's events anew in a scratch file, to see what each of them changes.
///
/// The running service does it, with the newest handler that it was built with, beside its work; its own read models are
/// not touched. Afterwards the file is a SQLite database like theirs: `sqlite3 FILE 'SELECT * FROM orders'`. From
/// `--steps-from` on, each event is printed with the rows that it changed, before and after.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika replay --data shop-data orders --to 4711 --into then.sqlite
  kronika replay --data shop-data orders --until 2026-11-26T12:00:00Z --into noon.sqlite
  kronika replay --data shop-data orders --to 4711 --steps-from 4700 --into then.sqlite
  kronika replay --data shop-data orders --steps-from 1 --into all.sqlite --json | jq -c .rows")]
pub struct Replay {
    #[command(flatten)]
    pub data: Data,
    /// The projection.
    #[arg(value_parser = name)]
    pub name: ProjectionName,
    /// Ends with the event at this position; with what is recorded now where neither is said.
    #[arg(long, value_name = "N", conflicts_with = "until")]
    pub to: Option<u64>,
    /// Ends with the last event that was recorded until then.
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    pub until: Option<Timestamp>,
    /// Prints each event from this position on, with the rows that it changed.
    #[arg(long, value_name = "N")]
    pub steps_from: Option<u64>,
    /// The file to be made; it must not be there.
    #[arg(long, value_name = "FILE")]
    pub into: PathBuf,
    #[command(flatten)]
    pub form: Form,
}

/// Who acts on what, and why. Recorded with the act.
#[derive(Args)]
pub struct By {
    /// Why it is done; recorded.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub why: String,
    /// Who does it; recorded.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, value_parser = words)]
    pub who: String,
}

/// Builds a projection's read model anew, beside the live one, and switches to it when it has seen as much.
///
/// Queries go on to read the live one meanwhile. On a terminal it shows the progress until the new one is live; it may
/// be left, the service goes on with it. Where no service runs, it is done at the next start.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika rebuild --data shop-data orders --why 'the total left out discounts'
  kronika rebuild --data shop-data orders --rate 5000 --why 'behind the live load'
  kronika rebuild --data shop-data orders --hold --no-wait --why 'to be looked at first'")]
pub struct Rebuild {
    #[command(flatten)]
    pub data: Data,
    /// The projection.
    #[arg(value_parser = name)]
    pub name: ProjectionName,
    /// By the handler of this generation instead of the live one's.
    #[arg(long, value_name = "G", value_parser = generation)]
    pub generation: Option<Generation>,
    /// Does not switch to it by itself: `kronika switch` does.
    #[arg(long)]
    pub hold: bool,
    /// Events in a second, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub rate: Option<u64>,
    /// Waits until it is live, or built where it is held, also where standard error is no terminal.
    #[arg(long, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Does not wait until it is live.
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub by: By,
    #[command(flatten)]
    pub form: Form,
}

/// What all acts on one read model take.
#[derive(Args)]
pub struct Target {
    #[command(flatten)]
    pub data: Data,
    /// The projection.
    #[arg(value_parser = name)]
    pub name: ProjectionName,
    #[command(flatten)]
    pub by: By,
    /// Prints how the projection's read models stand, one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Makes another read model of a projection the live one, as soon as it has seen what the live one has.
///
/// Switching back is the same act: the old one is fed on until it is dropped, where its handler is still there.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika switch --data shop-data orders --why 'looked at, all is well'
  kronika switch --data shop-data orders --to 1.3 --why 'back: the new one counts twice'")]
pub struct Switch {
    #[command(flatten)]
    pub target: Target,
    /// To this one; without it to the one that is being built, or else to the only old one.
    #[arg(long, value_name = "G.R", value_parser = run)]
    pub to: Option<Run>,
}

/// Lets a read model handle nothing until it is resumed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika pause --data shop-data orders --why 'while the disk is moved'")]
pub struct Pause {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub of: Of,
}

/// Lets a read model that was paused go on.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika resume --data shop-data orders --why 'the disk is moved'")]
pub struct Resume {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub of: Of,
}

/// Bounds how many events a read model handles in a second.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika throttle --data shop-data orders 2000 --read-model 1.4 --why 'the day begins'
  kronika throttle --data shop-data orders none --why 'the day is over'")]
pub struct Throttle {
    #[command(flatten)]
    pub target: Target,
    /// Events in a second, or none for no bound.
    #[arg(value_name = "RATE|none", value_parser = rate)]
    pub rate: Rate,
    #[command(flatten)]
    pub of: Of,
}

/// Divides the decoding and folding of a read model's events among threads.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika workers --data shop-data orders 4 --why 'one core is not enough'")]
pub struct Workers {
    #[command(flatten)]
    pub target: Target,
    /// How many, from 1 to 64.
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: u16,
    #[command(flatten)]
    pub of: Of,
}

/// Removes a read model that is not live, with its tables.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika drop --data shop-data orders --read-model 1.3 --why 'nobody goes back to it'")]
pub struct DropOne {
    #[command(flatten)]
    pub target: Target,
    /// This one; without it the one that is being built, or else the only old one.
    #[arg(long, value_name = "G.R", value_parser = run)]
    pub read_model: Option<Run>,
}

/// Handles the events that wait for a parked key again, in order, and lets the key go on.
#[derive(Args)]
#[command(group = which(), override_usage = "kronika retry --data <DIR> --why <TEXT> <NAME> <KEY|--all>", after_help = "\
Examples:
  kronika retry --data shop-data orders 17 --why 'the price list is there now'
  kronika retry --data shop-data orders --all --why 'the fold is mended'")]
pub struct Retry {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub keys: Keys,
}

/// Leaves out the first event that waits for a parked key, and handles the others.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika skip --data shop-data orders 17 --why 'recorded twice by mistake, nothing is lost'")]
pub struct Skip {
    #[command(flatten)]
    pub target: Target,
    /// The key, as it is listed; one that begins with - stands behind --.
    #[arg(value_parser = key, allow_negative_numbers = true)]
    pub key: KeyText,
    #[command(flatten)]
    pub of: Of,
}

/// Leaves out all events that wait for a parked key, and lets the key go on with what comes.
#[derive(Args)]
#[command(group = which(), override_usage = "kronika drop-key --data <DIR> --why <TEXT> <NAME> <KEY|--all>", after_help = "\
Examples:
  kronika drop-key --data shop-data orders 17 --why 'a test order'")]
pub struct DropKey {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub keys: Keys,
}

/// One parked key, or all.
#[derive(Args)]
pub struct Keys {
    /// The key, as it is listed; one that begins with - stands behind --.
    #[arg(value_parser = key, allow_negative_numbers = true)]
    pub key: Option<KeyText>,
    /// All parked keys.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub of: Of,
}

/// Which read model of a projection.
#[derive(Args)]
pub struct Of {
    /// This one instead of the live one.
    #[arg(long, value_name = "G.R", value_parser = run)]
    pub read_model: Option<Run>,
}

/// Events in a second at most; no bound if `None`.
#[derive(Clone, Copy)]
pub struct Rate(pub Option<u64>);

fn which() -> ArgGroup {
    ArgGroup::new("which").args(["key", "all"]).required(true)
}

fn name(text: &str) -> Result<ProjectionName, kronika_core::SpecError> {
    ProjectionName::new(text)
}

fn key(text: &str) -> Result<KeyText, kronika_core::KeyTextError> {
    KeyText::new(text)
}

fn generation(text: &str) -> Result<Generation, std::num::ParseIntError> {
    text.parse().map(Generation::new)
}

fn run(text: &str) -> Result<Run, &'static str> {
    let parts = text.split_once('.');
    let read = |(generation, run): (&str, &str)| {
        let run = run.parse().ok().filter(|run| *run > 0)?;
        Some(Run { generation: Generation::new(generation.parse().ok()?), run })
    };
    parts
        .and_then(read)
        .ok_or("write generation.run, as `kronika projections` shows it, such as 2.1")
}

fn rate(text: &str) -> Result<Rate, &'static str> {
    match text {
        "none" => Ok(Rate(None)),
        "0" => Err("0 would never end: `kronika pause` it instead"),
        _ => match text.parse() {
            Ok(rate) if i64::try_from(rate).is_ok() => Ok(Rate(Some(rate))),
            _ => Err("write a number of events in a second, or none"),
        },
    }
}

fn words(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("it is recorded, and must not be empty"),
        _ => Ok(text.to_owned()),
    }
}
