//! `cargo xtask simulate` and `cargo xtask kills`: the log loses its power on a simulated disk, or its process is
//! killed on the real one, as often as it is asked for.

use crate::shell::{self, Done};

const SIMULATE: &[&str] =
    &["run", "--release", "--package", "kronika-log", "--example", "simulate", "--"];
const KILLS: &[&str] =
    &["test", "--release", "--package", "kronika-log", "--test", "kills", "--", "--nocapture"];
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
