//! `cargo xtask test`: all tests of the workspace, and one line that sums them up.
//!
//! All features are on, so that what only a feature compiles is tested too. That includes switches for
//! planted faults, which never reach a release build: `tidy` sees to it.

use crate::shell::{self, Done};
use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

/// Passes the output of `cargo test` through as it comes and adds the sum of its `test result:` lines.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let mut command = shell::cargo(&cargo_arguments(arguments));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| shell::not_started(&command, &error))?;
    let output = child.stdout.take().expect("standard output is piped");
    let counted = pass_through(BufReader::new(output), &mut std::io::stdout().lock());
    let status = child.wait().map_err(|error| format!("cargo test was lost: {error}"))?;
    let count = counted.map_err(|error| format!("the output cannot be passed on: {error}"))?;
    println!("{} passed, {} failed", count.passed, count.failed);
    shell::succeeded(&command, status)
}

/// Goes on after a test binary with failures, so that the sum is over all.
fn cargo_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["test", "--all-features", "--no-fail-fast"];
    let own = arguments.iter().take_while(|argument| **argument != "--");
    let chosen = |argument: &&str| {
        *argument == "-p"
            || argument.starts_with("--package")
            || argument.starts_with("--workspace")
    };
    if !own.copied().any(|argument| chosen(&argument)) {
        all.push("--workspace");
    }
    all.extend(arguments);
    all
}

#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Count {
    passed: u64,
    failed: u64,
}

/// A binary that began and gave no result has ended in the middle of a test: that one failed.
fn pass_through(mut from: impl BufRead, to: &mut impl Write) -> std::io::Result<Count> {
    let mut sum = Count::default();
    let mut line = Vec::new();
    let mut is_running = false;
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        let text = String::from_utf8_lossy(&line);
        if let Some(count) = counted(&text) {
            sum.passed += count.passed;
            sum.failed += count.failed;
            is_running = false;
        } else if begins(&text) {
            sum.failed += u64::from(std::mem::replace(&mut is_running, true));
        }
        line.clear();
    }
    sum.failed += u64::from(is_running);
    Ok(sum)
}

/// Reads `running 3 tests`.
fn begins(line: &str) -> bool {
    let number = line.trim_end().strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    number.is_some_and(|(number, plural)| number.parse::<u64>().is_ok() && plural.len() < 2)
}

/// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn counted(line: &str) -> Option<Count> {
    let (_, result) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = result.split("; ");
    let mut number = |word| parts.next()?.strip_suffix(word)?.parse().ok();
    Some(Count { passed: number(" passed")?, failed: number(" failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 2 tests
test a ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 40 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
the line `test result: ok. 7 passed; 0 failed` in a message does not count
";

    #[test]
    fn results_are_summed_and_the_output_is_kept() {
        let mut kept = Vec::new();
        let count = pass_through(OUTPUT.as_bytes(), &mut kept).unwrap();
        assert_eq!(count, Count { passed: 42, failed: 1 });
        assert_eq!(kept, OUTPUT.as_bytes());
    }

    #[test]
    fn a_binary_that_ends_in_the_middle_of_a_test_counts_as_failed() {
        let check = |output: &str, failed: u64| {
            let count = pass_through(output.as_bytes(), &mut Vec::new()).unwrap();
            assert_eq!(count.failed, failed, "{output}");
        };
        let result = "test result: ok. 1 passed; 0 failed; 0 ignored\n";
        check(&format!("running 1 test\n{result}running 0 tests\n{result}"), 0);
        check(&format!("running 1 test\nrunning 2 tests\n{result}"), 1);
        check(&format!("{result}running 1 test\n"), 1);
        check("running tests are fast\nrunning 3 testers\n", 0);
    }

    #[test]
    fn all_of_the_workspace_is_tested_unless_packages_are_chosen() {
        let check = |arguments: &[&str], expected: bool| {
            assert_eq!(cargo_arguments(arguments).contains(&"--workspace"), expected);
        };
        check(&[], true);
        check(&["--", "-p"], true);
        check(&["-p", "kronika-log"], false);
        check(&["--package=kronika-log"], false);
    }
}
