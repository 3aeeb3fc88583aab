//! The embedded service is killed again and again, under load and while its read models are rebuilt, switched,
//! paused and dropped. After each kill every read model of every name, generation and run holds what follows from
//! the journal up to its own checkpoint, and what was told is there.
//!
//! `KRONIKA_KILLS=200` kills so many times, and `KRONIKA_KILLS_SEED` chooses what is done; `cargo xtask kills` does
//! both, in a release build. When to kill is chosen by the seed too, but what the process has done by then is not.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "a test of its own")]

mod acts;
mod check;
mod life;
mod model;
mod process;
mod rounds;
mod service;

use rounds::Rounds;
use std::env;

/// What the process that is to be killed is told to do.
const LIFE: &str = "KRONIKA_TEST_LIFE";

/// Only a child process of the tests below serves.
#[test]
fn killed_service() {
    if let Ok(life) = env::var(LIFE) {
        serde_json::from_str::<life::Life>(&life).unwrap().live();
    }
}

#[test]
fn read_models_hold_what_their_checkpoints_say_after_any_kill() {
    let number = |name: &str| env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let (rounds, seed) = (number("KRONIKA_KILLS"), number("KRONIKA_KILLS_SEED"));
    Rounds::new(seed.unwrap_or(1)).run(rounds.unwrap_or(12));
}

/// The process is killed between a failed commit and its next try: with the fault, rows are there already.
#[test]
fn a_checkpoint_outside_the_transaction_is_found() {
    let kill = |seed, outside| Rounds::new(seed).kill_with_fault(outside);
    for seed in 0..2 {
        assert_eq!(kill(seed, false), Ok(()));
    }
    // A commit that brings no row shows nothing.
    assert!((0..6).any(|seed| kill(seed, true).is_err()));
}
