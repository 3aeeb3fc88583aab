//! A thousand crashes of a log that takes its steps on one thread; the same seed is the same life, and faults that are
//! planted are found. `cargo xtask simulate` lives as many as it is asked for.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../examples/simulate/lives/mod.rs"]
mod lives;

use kronika_log::PlantedFault;
use lives::{Outcome, Plan, live, run};

/// Crashes that a run in continuous integration has to reach.
const CRASHES: u64 = 1000;

fn hangs(seed: u64) {
    eprintln!("seed {seed} hangs");
    std::process::exit(1);
}

#[test]
fn nothing_told_is_lost_and_nothing_lost_comes_back() {
    let Outcome { tally, wrong } = run(0..220, &Plan::default(), |_, _| {}, hangs);
    assert_eq!(wrong, None);
    assert!(tally.crashes >= CRASHES, "{tally:?}");
    // What is counted happened at all: a simulation in which nothing goes wrong shows nothing.
    assert!(tally.kills > 100 && tally.openings_failed > 100, "{tally:?}");
    assert!(tally.acknowledged > 5 * CRASHES && tally.images > CRASHES, "{tally:?}");
    assert!(tally.damage_found > 50 && tally.damage_lived_with > 100, "{tally:?}");
}

#[test]
fn the_same_seed_makes_the_same_calls() {
    let mut traces = Vec::new();
    for seed in 0..20 {
        let first = live(seed, &Plan::default()).unwrap();
        assert_eq!(live(seed, &Plan::default()).unwrap(), first, "seed {seed}");
        traces.push(first.trace);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 20, "each seed is another life");
}

fn finds(planted: PlantedFault) -> String {
    let plan = Plan { planted: Some(planted), ..Plan::default() };
    let (_, wrong) =
        run(0..400, &plan, |_, _| {}, hangs).wrong.expect("the planted fault is found");
    wrong
}

#[test]
fn a_reply_before_the_sync_is_found_at_once() {
    let wrong = finds(PlantedFault::ReplyBeforeSync);
    assert!(wrong.contains("told"), "{wrong}");
}

#[test]
fn a_sync_that_is_tried_again_is_found() {
    finds(PlantedFault::SyncAgain);
}

#[test]
fn a_chain_that_is_left_out_is_found() {
    let wrong = finds(PlantedFault::ChainLeftOut);
    assert!(wrong.contains("on a loading that broke"), "{wrong}");
}
