//! `cargo xtask simulate`: lives of the log on a simulated disk, each from its seed, checked against a model.
//!
//! It prints what was lived and the first life that went wrong, in one line that says how to see it again.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells its result by printing")]

mod lives;

use lives::{Outcome, Plan, Tally, run};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

const USAGE: &str = "\
usage: simulate [--seeds N] [--from SEED] [--seed SEED] [--calls] [--json]

  --seeds N    so many lives; 1,000 unless said otherwise
  --from SEED  the first one; 0 unless said otherwise
  --seed SEED  one life only
  --calls      the calls to the disk in the first life that goes wrong; best with --seed
  --json       the result as JSON on standard output";

struct Arguments {
    first: u64,
    seeds: u64,
    json: bool,
    calls: bool,
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments { first: 0, seeds: 1000, json: false, calls: false };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut number = || given.next()?.replace(['_', ','], "").parse::<u64>().ok();
        match name.as_str() {
            "--calls" => arguments.calls = true,
            "--json" => arguments.json = true,
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.first = number()?,
            "--seed" => (arguments.first, arguments.seeds) = (number()?, 1),
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() -> ExitCode {
    let Some(Arguments { first, seeds, json, calls }) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A panic of the log is one way to be wrong: it is told in the one line.
    std::panic::set_hook(Box::new(|_| {}));
    let plan = Plan { record: calls, ..Plan::default() };
    let begun = Instant::now();
    let hangs = |seed| {
        eprintln!("seed {seed} hangs; `cargo xtask simulate --seed {seed}` shows it again");
        std::process::exit(1);
    };
    let progress = |tally: &Tally, elapsed: Duration| {
        let rate = tally.lives as f64 / elapsed.as_secs_f64();
        let left = (seeds - tally.lives) as f64 / rate;
        eprintln!(
            "{} of {seeds} lives, {} crashes, {} acknowledged, {rate:.0} lives/s, {left:.0} s left",
            tally.lives, tally.crashes, tally.acknowledged
        );
    };
    let Outcome { tally, wrong } = run(first..first + seeds, &plan, progress, hangs);
    let seconds = begun.elapsed().as_secs_f64();
    if json {
        print_json(&tally, wrong.is_some(), seconds)
    } else {
        print(&tally, seconds)
    }
    match wrong {
        None => ExitCode::SUCCESS,
        Some((seed, what)) => {
            eprintln!("seed {seed} {what}; `cargo xtask simulate --seed {seed}` shows it again");
            ExitCode::FAILURE
        }
    }
}

/// What is counted, by name.
fn counts(tally: &Tally) -> [(&'static str, u64); 11] {
    [
        ("lives", tally.lives),
        ("crashes", tally.crashes),
        ("kills", tally.kills),
        ("openings", tally.openings),
        ("openings_failed", tally.openings_failed),
        ("appends_acknowledged", tally.acknowledged),
        ("reads", tally.reads),
        ("durable_images_checked", tally.images),
        ("damage_found", tally.damage_found),
        ("damage_lived_with", tally.damage_lived_with),
        ("sparse_refused", tally.sparse_refused),
    ]
}

fn print(tally: &Tally, seconds: f64) {
    for (name, count) in counts(tally) {
        println!("{:<24}{count:>12}", name.replace('_', " "));
    }
    println!("{:<24}{seconds:>12.1}", "seconds");
    println!("{:<24}{:>12.0}", "crashes per second", tally.crashes as f64 / seconds);
    println!("{:<24}{:>16x}", "trace", tally.trace);
}

fn print_json(tally: &Tally, wrong: bool, seconds: f64) {
    let counts = counts(tally).map(|(name, count)| format!("\"{name}\":{count}")).join(",");
    println!(
        "{{{counts},\"seconds\":{seconds:.3},\"trace\":\"{:x}\",\"wrong\":{wrong}}}",
        tally.trace
    );
}
