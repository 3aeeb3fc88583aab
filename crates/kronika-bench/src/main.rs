//! Benchmarks of Kronika, each against a limit or a peer in the same run. `cargo xtask bench` calls this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results are its output")]

mod arrivals;
mod commands;
mod harness;
mod help;
mod log;
mod projections;
mod raw;
mod report;
mod snapshots;
mod workload;

use commands::Effort;
use help::HELP;
use report::Report;
use snapshots::Sizes;
use std::{error::Error, path::Path, process::ExitCode, time::Duration};
use tokio::runtime::Runtime;

/// The one that the example service has, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let has = |name: &str| arguments.contains(&name);
    if arguments.is_empty() || has("--help") || has("-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let runtime = runtime(threads(&arguments));
    let done = match (arguments.as_slice(), runtime) {
        (_, Err(error)) => Err(error.into()),
        (["commands", options @ ..], Ok(runtime)) => match commands_effort(options) {
            Ok(effort) => runtime.block_on(commands(&effort, has("--json"))),
            Err(error) => return wrong_use(&error),
        },
        (["snapshots", options @ ..], Ok(runtime)) => match commands_effort(options) {
            Ok(effort) => {
                let sizes = if has("--quick") { FEW } else { MANY };
                runtime.block_on(snapshots(&effort, sizes, has("--json")))
            }
            Err(error) => return wrong_use(&error),
        },
        (["log", options @ ..], Ok(runtime)) => match log::Options::parse(options) {
            Ok(options) => log(&runtime, &options, has("--json")),
            Err(error) => return wrong_use(&error),
        },
        (["projections", options @ ..], Ok(runtime)) => {
            match projections::Options::parse(options) {
                Ok(options) => runtime.block_on(projections(&options, has("--json"))),
                Err(error) => return wrong_use(&error),
            }
        }
        (["be-killed", directory, bytes], Ok(_)) => match bytes.parse() {
            Ok(bytes) => log::be_killed(Path::new(directory), bytes),
            Err(_) => return wrong_use(&format!("`{bytes}` is no number of bytes")),
        },
        _ => return wrong_use("name one benchmark first, then options"),
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

/// Threads of the callers; none means as many as there are cores.
fn threads(arguments: &[&str]) -> Option<usize> {
    let place = arguments.iter().position(|argument| *argument == "--threads")?;
    arguments.get(place + 1)?.parse().ok().filter(|threads| *threads > 0)
}

fn runtime(threads: Option<usize>) -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    threads.map(|threads| builder.worker_threads(threads));
    builder.enable_all().build()
}

fn wrong_use(error: &str) -> ExitCode {
    eprint!("kronika-bench: {error}\n\n{HELP}");
    ExitCode::from(2)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Of `commands`: full, or short where that is asked for.
fn commands_effort(options: &[&str]) -> Result<Effort, String> {
    let (slices, slice) = (5, Duration::from_secs(2));
    let mut effort = Effort { slices, slice, callers: vec![1, 16, 64, 256] };
    if options.contains(&"--quick") {
        let (slices, slice) = (1, Duration::from_millis(100));
        effort = Effort { slices, slice, callers: vec![1, 64] };
    }
    let mut left = options.iter();
    while let Some(option) = left.next() {
        match *option {
            "--json" | "--quick" => {}
            "--callers" => {
                let callers = left.next().and_then(|text| text.parse().ok());
                effort.callers =
                    vec![callers.filter(|callers| *callers > 0).ok_or("callers are from 1")?];
            }
            other => return Err(format!("there is no option {other}")),
        }
    }
    Ok(effort)
}

const MANY: Sizes = Sizes { long: 100_000, kept: 4_000, many: 1_000 };
const FEW: Sizes = Sizes { long: 2_000, kept: 400, many: 20 };

async fn snapshots(effort: &Effort, sizes: Sizes, json: bool) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    snapshots::bench(directory.path(), effort, sizes, Report::new(json)?).await
}

async fn commands(effort: &Effort, json: bool) -> Result<(), Box<dyn Error>> {
    // In the working directory: a temporary directory may be in memory, where a sync costs nothing.
    let directory = tempfile::tempdir_in(".")?;
    commands::bench(directory.path(), effort, Report::new(json)?).await
}

fn log(runtime: &Runtime, options: &log::Options, json: bool) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    log::bench(directory.path(), runtime, options, Report::new(json)?)
}

async fn projections(options: &projections::Options, json: bool) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    let done = projections::bench(directory.path(), options, Report::new(json)?).await;
    done.map_err(|fault| fault as Box<dyn Error>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_benchmark_of_commands_runs() {
        let effort = Effort { slices: 1, slice: Duration::from_millis(20), callers: vec![2] };
        let directory = tempfile::tempdir().unwrap();
        commands::bench(directory.path(), &effort, Report::new(true).unwrap()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_benchmark_of_snapshots_runs() {
        let slice = Duration::from_millis(400);
        let effort = Effort { slices: 1, slice, callers: vec![64] };
        let sizes = Sizes { long: 1_000, kept: 64, many: 2 };
        let directory = tempfile::tempdir().unwrap();
        let report = Report::new(true).unwrap();
        snapshots::bench(directory.path(), &effort, sizes, report).await.unwrap();
    }
}
