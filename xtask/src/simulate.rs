//! `cargo xtask simulate`, `kills` and `bitflips`: the log loses its power on a simulated disk, its process is killed
//! on the real one, as often as it is asked for, or every bit of it is flipped.

use crate::shell::{self, Done};

const SIMULATE: &[&str] =
    &["run", "--release", "--package", "kronika-log", "--example", "simulate", "--"];
const KILLS: &[&str] =
    &["test", "--release", "--package", "kronika-log", "--test", "kills", "--", "--nocapture"];
const BIT_FLIPS: &[&str] =
    &["test", "--release", "--package", "kronika-log", "--test", "bit_flips", "--", "--nocapture"];
/// How the test knows that it is to take all bits.
const ALL_BITS: &str = "KRONIKA_BIT_FLIPS";
/// How the test knows how often to kill.
const ROUNDS: &str = "KRONIKA_KILLS";

/// Lives on simulated disks, built for release; the arguments go to the simulation as they are.
pub(crate) fn run(arguments: &[&str]) -> Done {
    shell::run(&mut shell::cargo(&[SIMULATE, arguments].concat()))
}

/// Kills the real process so many times.
pub(crate) fn kills(rounds: &str) -> Done {
    shell::run(shell::cargo(KILLS).env(ROUNDS, rounds))
}

/// Flips every bit of a journal in turn, one test after the other, each on all cores.
pub(crate) fn bit_flips() -> Done {
    shell::run(shell::cargo(BIT_FLIPS).arg("--test-threads=1").env(ALL_BITS, "all"))
}
