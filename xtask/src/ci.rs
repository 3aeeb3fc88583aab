//! `cargo xtask ci`: every check in one order, the quick ones first, ending at the first that fails.

use crate::{
    shell::{self, Done},
    test, tidy,
};
use std::time::Instant;

/// Whether the tests belong to this call.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tests {
    /// After all other steps.
    Run,
    /// They are run apart.
    Skip,
}

type Step = (&'static str, fn() -> Done);

const CHECKS: &[Step] = &[
    ("formatting", || shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))),
    ("tidy", tidy::run),
    ("clippy", clippy),
    ("documentation", documentation),
    ("licences and advisories", licences),
];
const TESTS: Step = ("tests", || test::run(&[]));

/// Runs the steps and prints the time of each.
pub(crate) fn run(tests: Tests) -> Done {
    let begun = Instant::now();
    let last = (tests == Tests::Run).then_some(&TESTS);
    for (name, step) in CHECKS.iter().chain(last) {
        println!("ci: {name} …");
        let begun = Instant::now();
        let done = step();
        let seconds = begun.elapsed().as_secs_f64();
        done.map_err(|failure| format!("ci: {name} failed after {seconds:.1} s: {failure}"))?;
        println!("ci: {name} took {seconds:.1} s");
    }
    println!("ci: all is well after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn clippy() -> Done {
    let arguments = ["clippy", "--workspace", "--all-targets", "--all-features", "--"];
    shell::run(shell::cargo(&arguments).args(["-D", "warnings"]))
}

fn documentation() -> Done {
    let arguments = ["doc", "--workspace", "--no-deps", "--all-features"];
    shell::run(shell::cargo(&arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

/// By cargo-deny where it is installed: building it here would take longer than all other steps.
fn licences() -> Done {
    let installed =
        shell::cargo(&["deny", "--version"]).output().is_ok_and(|it| it.status.success());
    if !installed {
        println!(
            "ci: NOT CHECKED: licences, bans, sources and advisories, for want of `cargo-deny`"
        );
        return Ok(());
    }
    shell::run(&mut shell::cargo(&["deny", "--workspace", "--all-features", "check"]))
}
