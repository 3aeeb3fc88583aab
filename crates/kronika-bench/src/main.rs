//! Benchmarks of Kronika, each against a limit or a peer in the same run. `cargo xtask bench` calls this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results are its output")]

mod commands;
mod raw;
mod report;
mod snapshots;
mod workload;

use commands::Effort;
use report::Report;
use snapshots::Sizes;
use std::{error::Error, process::ExitCode, time::Duration};

/// The one that the example service has, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Usage: cargo xtask bench NAME [--json] [--quick] [--callers N]

Benchmarks:
  commands   commands through the whole runtime to the durable reply: events of 256 bytes; 1, 16, 64 and 256
             callers; rows `many` (10,000 aggregates) and `hot` (one); against a raw zero-filled log written
             and synced in batches of the same size in the same run
  snapshots  loading a stream of 100,000 events from its snapshot, against reading all of them; commands to 1,000
             aggregates while snapshots of them and of four states of 1 MB are taken, against the same without:
             row `longest` has the longest latency, and the latencies without

Options:
  --json       one object a line
  --quick      a short run that shows that it works; its figures say little
  --callers N  only this number of callers
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if arguments.is_empty() || has("--help") || has("-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let place = arguments.iter().position(|argument| argument == "--callers");
    let only = place.and_then(|place| arguments.get(place + 1)).map(|text| text.parse::<usize>());
    let names = arguments.iter().enumerate().filter(|(index, argument)| {
        !argument.starts_with('-') && Some(*index) != place.map(|place| place + 1)
    });
    let names: Vec<_> = names.map(|(_, argument)| argument).collect();
    let ([name], None | Some(Ok(1..))) = (&names[..], &only) else {
        eprint!("kronika-bench: name one benchmark, and callers from 1\n\n{HELP}");
        return ExitCode::from(2);
    };
    let mut effort = if has("--quick") { QUICK } else { FULL };
    let only = only.and_then(Result::ok);
    if let Some(only) = &only {
        effort.callers = std::slice::from_ref(only);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match (name.as_str(), runtime) {
        (_, Err(error)) => Err(error.into()),
        ("commands", Ok(runtime)) => runtime.block_on(commands(effort, has("--json"))),
        ("snapshots", Ok(runtime)) => {
            let sizes = if has("--quick") { FEW } else { MANY };
            runtime.block_on(snapshots(effort, sizes, has("--json")))
        }
        (other, _) => {
            eprint!("kronika-bench: there is no benchmark named {other}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that is gone has read enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kronika-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

const FULL: Effort<'static> =
    Effort { slices: 5, slice: Duration::from_secs(2), callers: &[1, 16, 64, 256] };
const QUICK: Effort<'static> =
    Effort { slices: 1, slice: Duration::from_millis(100), callers: &[1, 64] };

const MANY: Sizes = Sizes { long: 100_000, kept: 4_000, many: 1_000 };
const FEW: Sizes = Sizes { long: 2_000, kept: 400, many: 20 };

async fn snapshots(effort: Effort<'_>, sizes: Sizes, json: bool) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    snapshots::bench(directory.path(), effort, sizes, Report::new(json)?).await
}

async fn commands(effort: Effort<'_>, json: bool) -> Result<(), Box<dyn Error>> {
    // In the working directory: a temporary directory may be in memory, where a sync costs nothing.
    let directory = tempfile::tempdir_in(".")?;
    commands::bench(directory.path(), effort, Report::new(json)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_benchmark_of_commands_runs() {
        let effort = Effort { slices: 1, slice: Duration::from_millis(20), callers: &[2] };
        let directory = tempfile::tempdir().unwrap();
        commands::bench(directory.path(), effort, Report::new(true).unwrap()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_benchmark_of_snapshots_runs() {
        let slice = Duration::from_millis(400);
        let effort = Effort { slices: 1, slice, callers: &[64] };
        let sizes = Sizes { long: 1_000, kept: 64, many: 2 };
        let directory = tempfile::tempdir().unwrap();
        let report = Report::new(true).unwrap();
        snapshots::bench(directory.path(), effort, sizes, report).await.unwrap();
    }
}
