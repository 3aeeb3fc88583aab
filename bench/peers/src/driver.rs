//! Commands, one a line, each answered by a line of JSON: so another program measures in turns with this one.
//!
//! ```text
//! append STORE CALLERS BODY_BYTES MILLISECONDS [tasks|threads]
//! fill STORE STREAMS EVENTS_EACH BODY_BYTES
//! open STORE
//! read-stream STORE STREAMS EVENTS_EACH READS cold|warm SEED
//! read STORE
//! close STORE
//! ```
//!
//! `open` closes the store, drops its files from the page cache and opens it to read. A failure is answered by
//! `{"error":"…"}`.

use crate::{
    harness::{
        Reads, Store, Style, bytes_in, closed_loop, cpu_time, drop_page_cache, fill, read_some,
    },
    stores::PEERS,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// A store that can be measured, whatever it is.
pub trait Driven {
    /// Callers in a closed loop for a time.
    fn append(&mut self, runtime: &Runtime, load: Load) -> Result<Value, String>;
    /// Fills it.
    fn fill(&mut self, streams: u32, rounds: u64, body_bytes: usize) -> Result<Value, String>;
    /// Closes it and opens it to read, its files out of the page cache.
    fn reopen(&mut self) -> Result<Value, String>;
    /// Reads some streams.
    fn read_some(&mut self, reading: Reading) -> Result<Value, String>;
    /// Reads all of it.
    fn read_all(&mut self) -> Result<Value, String>;
    /// Ends it.
    fn close(&mut self) -> Result<Value, String>;
}

/// A closed loop.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// What a caller is.
    pub style: Style,
    /// Callers.
    pub callers: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// For how long.
    pub time: Duration,
}

/// Which streams are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Streams that were filled, and events in each.
    pub filled: (u32, u64),
    /// Reads to be done.
    pub reads: usize,
    /// Whether the files are dropped from the page cache before each.
    pub cold: bool,
    /// Chooses the streams.
    pub seed: u64,
}

/// One store, open or not.
pub struct Running<S: Store> {
    directory: PathBuf,
    store: Option<S>,
    callers: Vec<S::Caller>,
}

impl<S: Store> Running<S> {
    /// In a directory, not opened yet.
    pub fn boxed(directory: &Path) -> Box<dyn Driven> {
        Box::new(Self { directory: directory.to_owned(), store: None, callers: Vec::new() })
    }

    fn store(&mut self) -> Result<&S, String> {
        if self.store.is_none() {
            let made = std::fs::create_dir_all(&self.directory);
            made.map_err(|error| format!("{}: {error}", self.directory.display()))?;
            self.store = Some(S::open(&self.directory)?);
        }
        Ok(self.store.as_ref().expect("it was opened"))
    }

    fn end(&mut self) -> Result<(), String> {
        self.callers.clear();
        self.store.take().map_or(Ok(()), S::close)
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

impl<S: Store> Driven for Running<S> {
    fn append(&mut self, runtime: &Runtime, load: Load) -> Result<Value, String> {
        self.store()?;
        let store = self.store.as_ref().expect("it is open");
        let numbers = self.callers.len()..load.callers;
        self.callers.extend(numbers.map(|number| store.caller(number as u32)));
        let idle = self.callers.split_off(load.callers);
        let cpu = cpu_time();
        let callers = std::mem::take(&mut self.callers);
        let run = closed_loop(callers, load.style, load.body_bytes, load.time);
        let (measured, callers) = runtime.block_on(run)?;
        self.callers = callers;
        self.callers.extend(idle);
        Ok(json!({
            "events": measured.events, "seconds": measured.time.as_secs_f64(),
            "cpu_seconds": (cpu_time() - cpu).as_secs_f64(), "p50_us": measured.quantile_us(0.5),
            "p99_us": measured.quantile_us(0.99), "longest_us": measured.longest_us(),
        }))
    }

    fn fill(&mut self, streams: u32, rounds: u64, body_bytes: usize) -> Result<Value, String> {
        let started = Instant::now();
        fill(self.store()?, streams, rounds, body_bytes)?;
        let seconds = seconds(started);
        let bytes = bytes_in(&self.directory).map_err(|error| error.to_string())?;
        Ok(json!({ "events": u64::from(streams) * rounds, "seconds": seconds, "bytes": bytes }))
    }

    fn reopen(&mut self) -> Result<Value, String> {
        self.end()?;
        drop_page_cache(&self.directory).map_err(|error| format!("the page cache: {error}"))?;
        let started = Instant::now();
        self.store = Some(S::open_to_read(&self.directory)?);
        Ok(json!({ "seconds": seconds(started) }))
    }

    fn read_some(&mut self, reading: Reading) -> Result<Value, String> {
        let directory = self.directory.clone();
        let cold = reading.cold.then_some(directory.as_path());
        let (streams, rounds) = reading.filled;
        let store = self.store()?;
        let Reads { events, time, cpu, latencies } =
            read_some(store, cold, streams, rounds, reading.reads, reading.seed)?;
        let quantile = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        Ok(json!({
            "reads": reading.reads, "events": events, "seconds": time.as_secs_f64(),
            "cpu_seconds": cpu.as_secs_f64(), "p50_us": quantile(0.5), "p99_us": quantile(0.99),
        }))
    }

    fn read_all(&mut self) -> Result<Value, String> {
        let (started, cpu) = (Instant::now(), cpu_time());
        let (events, bytes) = self.store()?.read_all()?;
        Ok(json!({
            "events": events, "bytes": bytes, "seconds": seconds(started),
            "cpu_seconds": (cpu_time() - cpu).as_secs_f64(),
        }))
    }

    fn close(&mut self) -> Result<Value, String> {
        self.end()?;
        Ok(json!({}))
    }
}

/// Stores that were asked for, each in a directory of its own.
pub struct Driver<'a> {
    directory: &'a Path,
    runtime: &'a Runtime,
    running: BTreeMap<&'static str, Box<dyn Driven>>,
}

impl<'a> Driver<'a> {
    /// With nothing open.
    pub fn new(directory: &'a Path, runtime: &'a Runtime) -> Self {
        Self { directory, runtime, running: BTreeMap::new() }
    }

    /// Answers commands until there are no more.
    pub fn answer_all(&mut self, from: impl BufRead, mut to: impl Write) -> io::Result<()> {
        for line in from.lines() {
            let answer = self.answer(&line?).unwrap_or_else(|error| json!({ "error": error }));
            writeln!(to, "{answer}")?;
            to.flush()?;
        }
        Ok(())
    }

    /// Answers one command.
    pub fn answer(&mut self, line: &str) -> Result<Value, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[command, name, ref values @ ..] = &words[..] else {
            return Err(format!("`{line}` names no command and store"));
        };
        let peer = PEERS.iter().find(|peer| peer.name == name);
        let peer = peer.ok_or_else(|| format!("there is no store named {name}"))?;
        let directory = self.directory.join(name);
        let running = self.running.entry(peer.name).or_insert_with(|| (peer.start)(&directory));
        match (command, values) {
            ("append", &[callers, body, time, ref style @ ..]) => {
                let time = Duration::from_millis(number(time)?);
                let style = style.first().map_or(Ok(Style::Tasks), |style| style.parse())?;
                let (callers, body_bytes) = (number(callers)?, number(body)?);
                let load = Load { style, callers, body_bytes, time };
                running.append(self.runtime, load)
            }
            ("fill", &[streams, rounds, body]) => {
                running.fill(number(streams)?, number(rounds)?, number(body)?)
            }
            ("open", &[]) => running.reopen(),
            ("read-stream", &[streams, rounds, reads, how @ ("cold" | "warm"), seed]) => {
                let (filled, reads) = ((number(streams)?, number(rounds)?), number(reads)?);
                let (cold, seed) = (how == "cold", number(seed)?);
                running.read_some(Reading { filled, reads, cold, seed })
            }
            ("read", &[]) => running.read_all(),
            ("close", &[]) => running.close(),
            _ => Err(format!("`{line}` is not a command with its values")),
        }
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number in range"))
}
