//! All stores side by side: slices in turns, medians, and each store's part of Kronika's figure.

use crate::{driver::Driver, stores::PEERS};
use serde_json::{Map, Value, json};
use std::{io::Write, time::Duration};

/// Bytes of a body, and events in each stream that is read.
const BODY_BYTES: usize = 256;
const EVENTS_EACH: u64 = 10;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Names of the stores; none means all.
    pub stores: Vec<String>,
    /// Numbers of callers.
    pub callers: Vec<usize>,
    /// Slices of each.
    pub slices: usize,
    /// Length of one.
    pub slice: Duration,
    /// Streams of the reading.
    pub streams: u32,
    /// Streams read in one slice.
    pub reads: usize,
    /// One object a line.
    pub json: bool,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            stores: Vec::new(),
            callers: vec![1, 64, 256],
            slices: 5,
            slice: Duration::from_secs(2),
            streams: 100_000,
            reads: 20,
            json: false,
        }
    }
}

impl Effort {
    /// Short.
    pub fn quick() -> Self {
        let (callers, slices, slice) = (vec![1, 16], 1, Duration::from_millis(100));
        Self { callers, slices, slice, streams: 500, reads: 5, ..Self::default() }
    }

    fn names(&self) -> Vec<&'static str> {
        let chosen = |name: &&str| {
            self.stores.is_empty() || self.stores.iter().any(|store| store.as_str() == *name)
        };
        PEERS.iter().map(|peer| peer.name).filter(chosen).collect()
    }
}

/// One measured figure of each store, in turns.
struct Turns<'a> {
    bench: &'static str,
    callers: usize,
    unit: &'static str,
    figure: &'a dyn Fn(&Value) -> f64,
}

/// Measures everything and prints it.
pub fn compare(
    driver: &mut Driver<'_>,
    effort: &Effort,
    out: &mut impl Write,
) -> Result<(), String> {
    let names = effort.names();
    if names.is_empty() || names.len() < effort.stores.len() {
        return Err(format!("no such store among {:?}; --help lists them", effort.stores));
    }
    let rate = |answer: &Value| number(answer, "events") / number(answer, "seconds");
    for &callers in &effort.callers {
        let millis = effort.slice.as_millis();
        for name in &names {
            // Opens it and lets it warm up.
            driver.answer(&format!("append {name} {callers} {BODY_BYTES} {}", millis / 4))?;
        }
        let turns = Turns { bench: "append", callers, unit: "events/s", figure: &rate };
        take_turns(driver, effort, out, &names, &turns, |name, _| {
            format!("append {name} {callers} {BODY_BYTES} {millis}")
        })?;
    }
    if effort.streams == 0 {
        return Ok(());
    }
    for name in &names {
        driver.answer(&format!("fill {name} {} {EVENTS_EACH} {BODY_BYTES}", effort.streams))?;
        driver.answer(&format!("open {name}"))?;
    }
    let (streams, reads) = (effort.streams, effort.reads);
    let latency = |answer: &Value| number(answer, "p50_us");
    for (bench, how) in [("read-stream", "cold"), ("read-stream-warm", "warm")] {
        let turns = Turns { bench, callers: 1, unit: "us", figure: &latency };
        take_turns(driver, effort, out, &names, &turns, |name, slice| {
            format!("read-stream {name} {streams} {EVENTS_EACH} {reads} {how} {slice}")
        })?;
    }
    let per_core = |answer: &Value| number(answer, "events") / number(answer, "cpu_seconds");
    let turns = Turns { bench: "read", callers: 1, unit: "events/s/core", figure: &per_core };
    take_turns(driver, effort, out, &names, &turns, |name, _| format!("read {name}"))
}

fn take_turns(
    driver: &mut Driver<'_>,
    effort: &Effort,
    out: &mut impl Write,
    names: &[&'static str],
    turns: &Turns<'_>,
    command: impl Fn(&str, usize) -> String,
) -> Result<(), String> {
    let mut answers: Vec<Vec<Value>> = vec![Vec::new(); names.len()];
    for slice in 0..effort.slices {
        for (name, answers) in names.iter().zip(&mut answers) {
            let answer = driver.answer(&command(name, slice))?;
            answers.push(answer);
        }
    }
    let figures = |of: &[Value]| of.iter().map(turns.figure).collect::<Vec<_>>();
    let ours = names.iter().position(|name| *name == "kronika");
    let ours = ours.map(|place| figures(&answers[place]));
    for (name, answers) in names.iter().zip(&answers) {
        let theirs = figures(answers);
        let ratios = ours.as_ref().map(|ours| {
            median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect())
        });
        let mut row = Map::new();
        row.insert("bench".into(), json!(turns.bench));
        row.insert("store".into(), json!(name));
        row.insert("callers".into(), json!(turns.callers));
        row.insert("figure".into(), json!(median(theirs)));
        row.insert("unit".into(), json!(turns.unit));
        for latency in ["p50_us", "p99_us"].into_iter().filter(|key| !answers[0][key].is_null()) {
            let all = answers.iter().map(|answer| number(answer, latency));
            row.insert(latency.into(), json!(median(all.collect())));
        }
        if let Some(ratio) = ratios {
            row.insert("kronika_ratio".into(), json!(ratio));
        }
        print(out, &row, effort.json).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn print(out: &mut impl Write, row: &Map<String, Value>, json: bool) -> std::io::Result<()> {
    if json {
        return writeln!(out, "{}", Value::Object(row.clone()));
    }
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| row.get(key).and_then(Value::as_f64);
    let latency = |key: &str| number(key).map_or(String::new(), |number| format!("{number:.0}"));
    let ratio = number("kronika_ratio").map_or(String::new(), |ratio| format!("{ratio:.2}"));
    writeln!(
        out,
        "{:<17} {:<8} {:>5} callers {:>12.1} {:<13} p50 {:>8} us, p99 {:>8} us; kronika's by it: {ratio}",
        text("bench"),
        text("store"),
        row["callers"],
        number("figure").unwrap_or(f64::NAN),
        text("unit"),
        latency("p50_us"),
        latency("p99_us"),
    )
}

fn number(answer: &Value, key: &str) -> f64 {
    answer[key].as_f64().unwrap_or(f64::NAN)
}

/// Of an even count the lower middle, so that it is one that was measured.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get((numbers.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}
