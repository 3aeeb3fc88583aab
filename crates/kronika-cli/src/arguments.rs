//! What the command line takes, and what its help teaches.

mod operating;

use clap::{Args, Parser, Subcommand};
use kronika_core::{Position, StreamId, Timestamp, check_type};
pub use operating::{
    Acts, DropKey, DropOne, Keys, Parked, Pause, Projections, Rebuild, Replay, Resume, Retry, Run,
    Skip, Switch, Target, Throttle, Workers,
};
use std::path::PathBuf;

/// Looks after a Kronika service: its journal and its read models, in a data directory, as it is given it itself.
///
/// What only reads works beside the running service, and reads what was durable when it began. What acts on read models
/// is asked of the running service, through the socket `admin.sock` in its directory, or is recorded for its next start.
/// `import` and `restore` need the directory for themselves.
#[derive(Parser)]
#[command(name = "kronika", version, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kronika verify --data shop-data                       is all as it was written?
  kronika backup --data shop-data --to backup           copies it, beside the running service
  kronika restore --from backup --data shop-again       makes a journal from a backup
  kronika events --data shop-data order/17              what happened to one aggregate
  kronika events --data shop-data --follow              what happens, as it does
  kronika export --data shop-data > events.jsonl        one event a line
  kronika projections --data shop-data --watch          how far are the read models?
  kronika parked --data shop-data orders                what could not be handled?
  kronika rebuild --data shop-data orders --why TEXT    builds a read model anew
  kronika replay --data shop-data orders --into FILE    what does each event change?

Exit codes: 0 done, 1 could not be done (one line says why), 2 wrong use.";

#[derive(Subcommand)]
pub enum Command {
    Verify(Verify),
    Backup(Backup),
    Restore(Restore),
    Export(Export),
    Import(Import),
    Stats(Stats),
    Events(Events),
    Projections(Projections),
    Parked(Parked),
    Acts(Acts),
    Rebuild(Rebuild),
    Replay(Replay),
    Switch(Switch),
    Pause(Pause),
    Resume(Resume),
    Throttle(Throttle),
    Workers(Workers),
    Drop(DropOne),
    Retry(Retry),
    Skip(Skip),
    DropKey(DropKey),
}

#[derive(Args)]
pub struct Data {
    /// The data directory; the journal is in `journal` below it.
    #[arg(long, value_name = "DIR", env = "KRONIKA_DATA")]
    pub data: PathBuf,
}

#[derive(Args)]
pub struct Form {
    /// Prints one JSON object on one line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Args)]
pub struct Quiet {
    /// No progress on standard error, where that is a terminal.
    #[arg(long)]
    pub quiet: bool,
}

/// Verifies every checksum and every invariant of a journal.
///
/// Ends with 0 only if all is sound. A torn write at the end, which the next opening removes, is sound: it was never
/// acknowledged. Beside a running service it verifies up to what is durable when it begins. It keeps 24 bytes in
/// memory for each stream.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika verify --data shop-data
  kronika verify --data shop-data --json | jq .findings")]
pub struct Verify {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub form: Form,
}

/// Copies a journal into a directory, beside the running service.
///
/// The copy ends with what was durable at the start, and everything copied is verified. Made again into the same
/// directory, it copies what is new. The directory is a data directory: it can be verified, read, and started from.
/// Read models are not copied: they are built from the journal.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika backup --data shop-data --to backup && kronika verify --data backup")]
pub struct Backup {
    #[command(flatten)]
    pub data: Data,
    /// The data directory to copy into; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    #[command(flatten)]
    pub form: Form,
}

/// Makes a data directory from a backup, or from any other one: all of it, or as it was.
///
/// Without --position and --time the journal is the same history. With one of them it is a new history, so that
/// whoever has seen what was cut off notices: readers, read models and tokens begin anew. Appends are whole: one that
/// goes beyond the position is left out.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika restore --from backup --data shop-again
  kronika restore --from backup --data before --position 41800
  kronika restore --from backup --data before --time 2026-07-01T12:00:00Z")]
pub struct Restore {
    /// The data directory to restore from.
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// The data directory to make; it must be empty or not there.
    #[arg(long, value_name = "DIR", env = "KRONIKA_DATA")]
    pub data: PathBuf,
    /// As it was when this position was the last one.
    #[arg(long, value_name = "N", value_parser = position, conflicts_with = "time")]
    pub position: Option<Position>,
    /// As it was at a time, such as 2026-07-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub time: Option<Timestamp>,
    #[command(flatten)]
    pub form: Form,
}

/// Prints events as JSON, one a line, in the order of the journal.
///
/// Each line has the event's place, name, body and metadata, and the append that it came with, so that `import` loses
/// nothing. An append without events is a line without a name.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika export --data shop-data > events.jsonl
  kronika export --data shop-data --type order --after 41800 | jq -c '[.stream, .name, .body]'")]
pub struct Export {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Args)]
pub struct Filter {
    /// Only events of this stream, written type/id; may be given several times.
    #[arg(long = "stream", value_name = "STREAM", value_parser = stream)]
    pub streams: Vec<StreamId>,
    /// Only events of aggregates of this type; may be given several times.
    #[arg(long = "type", value_name = "TYPE", value_parser = aggregate_type)]
    pub types: Vec<String>,
    /// Only events after this position.
    #[arg(long, value_name = "N", default_value = "0", value_parser = position)]
    pub after: Position,
}

/// Records events from lines of JSON, as `export` prints them.
///
/// Ids, versions, keys and times of the domain are kept; positions and times of recording are new. What is recorded
/// already is left out, so an import that was interrupted is simply started again. Needs the directory for itself.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika import --data shop-again events.jsonl
  kronika export --data old --type order | kronika import --data new")]
pub struct Import {
    #[command(flatten)]
    pub data: Data,
    /// The file to read, or - for standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Events without a time of their own keep the time at which they were recorded before as that.
    #[arg(long)]
    pub keep_times: bool,
    #[command(flatten)]
    pub form: Form,
}

/// Counts what a journal holds, by aggregate type and by name of event.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika stats --data shop-data")]
pub struct Stats {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub form: Form,
}

/// Prints events to be read: of one stream, or of the whole journal.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kronika events --data shop-data order/17
  kronika events --data shop-data --after 41800 --limit 20
  kronika events --data shop-data --type order --follow")]
pub struct Events {
    #[command(flatten)]
    pub data: Data,
    /// The stream, written type/id.
    #[arg(value_parser = stream)]
    pub stream: Option<StreamId>,
    /// Only events of aggregates of this type; may be given several times.
    #[arg(long = "type", value_name = "TYPE", value_parser = aggregate_type)]
    pub types: Vec<String>,
    /// Only events after this position.
    #[arg(long, value_name = "N", default_value = "0", value_parser = position)]
    pub after: Position,
    /// So many events at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Goes on with what is recorded from now on, until it is stopped.
    #[arg(long)]
    pub follow: bool,
    /// Prints each event as JSON on one line, as `export` does.
    #[arg(long)]
    pub json: bool,
}

fn position(text: &str) -> Result<Position, std::num::ParseIntError> {
    text.parse().map(Position::new)
}

fn stream(text: &str) -> Result<StreamId, kronika_core::StreamIdError> {
    StreamId::parse(text)
}

fn aggregate_type(text: &str) -> Result<String, kronika_core::StreamIdError> {
    check_type(text).map(|()| text.to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    let time = text.parse::<jiff::Timestamp>().map_err(|error| error.to_string())?;
    Ok(Timestamp::new(time.as_microsecond()))
}
