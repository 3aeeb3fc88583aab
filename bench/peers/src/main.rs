//! The same workload on other stores and on Kronika's log, in turns, in one run.
//!
//! Everything that is acknowledged is durable, in all of them. How each is set is printed by `--settings` and
//! stands in `README.md`. With `--driven` it does what it is told line by line instead, for `cargo xtask bench log`.

mod compare;
mod driver;
mod grouped;
#[allow(dead_code, unused_imports, reason = "what only `kronika-bench` needs is in it too")]
#[path = "../../../crates/kronika-bench/src/harness/mod.rs"]
mod harness;
mod stores;

use compare::Effort;
use driver::Driver;
use std::{
    error::Error,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};
use stores::PEERS;

/// As in `kronika-bench`, so that allocating costs all of them the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Usage: kronika-peers [--quick] [--json] [--stores A,B] [--callers N,N] [--seconds S] [--slices N] [--directory DIR]
       kronika-peers --settings
       kronika-peers --driven [--directory DIR]

  --quick          a short run that shows that it works; its figures say little
  --json           one object a line
  --stores A,B     of kronika, tephra, umadb, fjall, sqlite, redb; default all
  --callers N,N    default 1,64,256
  --seconds S      length of a slice; default 2
  --slices N       slices of each store for each number of callers, in turns; default 5
  --streams N      streams of the reading, with 10 events each; default 100000; 0 leaves it out
  --threads N      threads that callers run on; default as many as there are cores
  --directory DIR  where the stores are made, on a real disk; default the working directory. Removed at the end
  --settings       prints how each store is set
  --driven         does what it is told on standard input
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is gone, the code alone tells.
            let _ = writeln!(io::stderr(), "kronika-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let mut effort = Effort::default();
    let (mut driven, mut place) = (false, PathBuf::from("."));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        let mut value = || left.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--help" | "-h" => {
                return Ok(write!(io::stdout(), "{HELP}")?);
            }
            "--settings" => {
                for peer in PEERS {
                    writeln!(io::stdout(), "{:<8} {}", peer.name, peer.settings)?;
                }
                return Ok(());
            }
            "--quick" => effort = Effort { json: effort.json, ..Effort::quick() },
            "--json" => effort.json = true,
            "--driven" => driven = true,
            "--stores" => effort.stores = value()?.split(',').map(str::to_owned).collect(),
            "--callers" => {
                let numbers = value()?.split(',').map(str::parse);
                effort.callers = numbers.collect::<Result<_, _>>()?;
            }
            "--seconds" => effort.slice = Duration::try_from_secs_f64(value()?.parse()?)?,
            "--slices" => effort.slices = value()?.parse()?,
            "--streams" => effort.streams = value()?.parse()?,
            "--threads" => {
                let threads = value()?.parse().ok().filter(|threads| *threads > 0);
                runtime.worker_threads(threads.ok_or("threads are from 1")?);
            }
            "--directory" => place = value()?.into(),
            other => return Err(format!("there is no option {other}; --help lists them").into()),
        }
    }
    let runtime = runtime.enable_all().build()?;
    let _entered = runtime.enter();
    // In the working directory: a temporary directory may be in memory, where a sync costs nothing.
    let directory = tempfile::tempdir_in(place)?;
    let mut results = results_alone()?;
    let mut driver = Driver::new(directory.path(), &runtime);
    if driven {
        return Ok(driver.answer_all(io::stdin().lock(), results)?);
    }
    Ok(compare::compare(&mut driver, &effort, &mut results)?)
}

/// Standard output for results alone: what a store prints of its own goes to standard error from now on.
fn results_alone() -> io::Result<File> {
    let results = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(results))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_does_the_whole_workload() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let directory = tempfile::tempdir().unwrap();
        let mut driver = Driver::new(directory.path(), &runtime);
        for peer in PEERS {
            let mut tell = |command: &str, values: &str| {
                let line = format!("{command} {} {values}", peer.name);
                driver.answer(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
            };
            let appended = tell("append", "4 256 20")["events"].as_u64().unwrap();
            assert!(appended >= 4, "{}", peer.name);
            tell("append", "2 256 20");
            tell("fill", "50 3 100");
            tell("open", "");
            let read = tell("read-stream", "50 3 10 cold 1");
            assert_eq!(read["events"], 30, "{}", peer.name);
            tell("read-stream", "50 3 10 warm 2");
            let all = tell("read", "");
            assert!(all["events"].as_u64().unwrap() > appended + 150, "{}", peer.name);
            tell("close", "");
        }
        assert!(driver.answer("append tephra 1").is_err());
        assert!(driver.answer("append nothing 1 1 1").is_err());
    }
}
