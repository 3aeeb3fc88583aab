//! `cargo xtask bench NAME`: benchmarks are built for release, or their figures mean nothing.

use crate::shell::{self, Done};

const RUN: &[&str] =
    &["run", "--release", "--package", "kronika-bench", "--bin", "kronika-bench", "--"];

/// Runs `kronika-bench` with the arguments as they are.
pub(crate) fn run(arguments: &[&str]) -> Done {
    shell::run(&mut shell::cargo(&[RUN, arguments].concat()))
}
