//! `log`: the embedded journal by its public interface, against raw writes and syncs and against tephra, slices in
//! turns, in one run on one disk.
//!
//! Callers are tasks on a runtime with as many threads as there are cores. What the rows mean stands in the help.

mod append;
mod flat;
mod latency;
mod options;
mod peer;
mod read;
mod recover;
mod stall;

use crate::{
    harness::{LogCaller, LogStore, Measured, Store, closed_loop, cpu_time},
    report::Report,
};
pub use options::{Options, ROWS};
use peer::Peer;
use std::{error::Error, path::Path, time::Duration};
use tokio::runtime::Runtime;

/// Why a benchmark could not be done.
type Fault = Box<dyn Error>;

/// Fills a log until it is killed: what `recover` starts.
pub use recover::be_killed;

/// What all rows share.
struct Bench<'a> {
    runtime: &'a Runtime,
    options: &'a Options,
    report: Report,
    /// tephra in a process of its own, where its program was given.
    peer: Option<Peer>,
}

/// Runs the rows that were chosen.
pub fn bench(
    directory: &Path,
    runtime: &Runtime,
    options: &Options,
    report: Report,
) -> Result<(), Fault> {
    let peer =
        options.peers.as_deref().map(|program| Peer::start(program, directory, options.threads));
    let mut bench = Bench { runtime, options, report, peer: peer.transpose()? };
    let _entered = runtime.enter();
    for name in ROWS.iter().filter(|name| options.has(name)) {
        let own = directory.join(name);
        std::fs::create_dir(&own)?;
        match *name {
            "append" => append::run(&mut bench, &own)?,
            "latency" => latency::run(&bench, &own)?,
            "stall" => stall::run(&bench, &own)?,
            "read" => read::run(&mut bench, &own)?,
            "recover" => recover::run(&bench, &own)?,
            "flat" => flat::run(&bench, &own)?,
            other => unreachable!("{other} is in the list of rows"),
        }
        std::fs::remove_dir_all(&own)?;
    }
    Ok(())
}

/// What a slice of appends came to.
struct Appended {
    measured: Measured,
    /// Processor time of the process meanwhile.
    cpu: Duration,
    events_per_commit: f64,
    bytes_per_commit: usize,
}

/// Callers of one log, kept between slices.
struct Load {
    store: LogStore,
    callers: Vec<LogCaller>,
}

impl Load {
    fn new(store: LogStore) -> Self {
        Self { store, callers: Vec::new() }
    }

    /// Runs so many of them in a closed loop for one slice.
    fn slice(&mut self, bench: &Bench<'_>, callers: usize) -> Result<Appended, Fault> {
        let numbers = self.callers.len()..callers;
        self.callers.extend(numbers.map(|number| self.store.caller(number as u32)));
        let idle = self.callers.split_off(callers);
        let (before, cpu) = (self.store.log.stats(), cpu_time());
        let options = bench.options;
        let running = std::mem::take(&mut self.callers);
        let run = closed_loop(running, options.style, options.body_bytes, options.slice);
        let (measured, callers) = bench.runtime.block_on(run)?;
        let (after, cpu) = (self.store.log.stats(), cpu_time() - cpu);
        self.callers = callers;
        self.callers.extend(idle);
        let commits = (after.commits - before.commits) as f64;
        let events_per_commit = (after.events - before.events) as f64 / commits;
        let bytes_per_commit = ((after.bytes - before.bytes) as f64 / commits) as usize;
        Ok(Appended { measured, cpu, events_per_commit, bytes_per_commit })
    }
}
