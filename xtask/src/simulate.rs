//! `cargo xtask simulate`, `sweep` and `bitflips`: the log loses its power on a simulated disk as often as it is asked
//! for; every call to its disk fails, or every bit of it is flipped.

use crate::shell::{self, Done};

const SIMULATE: &[&str] =
    &["run", "--release", "--package", "kronika-log", "--example", "simulate", "--"];
const BIT_FLIPS: &[&str] =
    &["test", "--release", "--package", "kronika-log", "--test", "bit_flips", "--", "--nocapture"];
/// How the test knows that it is to take all bits.
const ALL_BITS: &str = "KRONIKA_BIT_FLIPS";
const SWEEP: &[&str] =
    &["test", "--release", "--package", "kronika-log", "--test", "sweep", "--", "--nocapture"];
/// How the test knows that it is to let every call fail.
const ALL_CALLS: &str = "KRONIKA_SWEEP";

/// Lives on simulated disks, built for release; the arguments go to the simulation as they are.
pub(crate) fn run(arguments: &[&str]) -> Done {
    shell::run(&mut shell::cargo(&[SIMULATE, arguments].concat()))
}

/// Flips every bit of a journal in turn, one test after the other, each on all cores.
pub(crate) fn bit_flips() -> Done {
    shell::run(shell::cargo(BIT_FLIPS).arg("--test-threads=1").env(ALL_BITS, "all"))
}

/// Lets every call to the disk in the life of a log fail in turn, once and for ever.
pub(crate) fn sweep() -> Done {
    shell::run(shell::cargo(SWEEP).env(ALL_CALLS, "all"))
}
