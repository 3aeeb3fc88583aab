//! Every task of the project: `cargo xtask TASK`. What continuous integration does, `ci` does.
//!
//! Tasks call the ordinary tools, `cargo` above all, and install nothing. `CARGO_TARGET_DIR` holds for all
//! of them, since the calls inherit the environment.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task tells its result by printing"
)]

mod bench;
mod ci;
mod fuzz;
mod kills;
mod lines;
mod shell;
mod simulate;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test [ARGUMENTS]       all tests of the workspace, with documentation tests; arguments go to `cargo test`
  tidy                   what the house style asks for and a program can check
  lines                  how long the marked examples are
  ci [--skip-tests]      formatting, tidy, clippy, documentation, licences, then the tests
  bench NAME [--json] [--quick]
                         a benchmark, built for release; arguments go to `kronika-bench`; `bench --help` lists
                         them; `log` builds the program with the other stores, too, but for `--without-peers`
  fuzz [--seconds N]     the fuzz targets, two minutes in all or as long as is said
  simulate [--seeds N] [--from SEED] [--seed SEED] [--json]
                         lives of the log on simulated disks, each from its seed, checked against a model
  kills [log|service] [--rounds N] [--seed SEED]
                         kills a process that appends, and one whose read models are operated under load, 200 times
                         each unless said otherwise, and looks what is there
  sweep                  lets every call to the disk in the life of a log fail in turn, once and for ever
  bitflips               flips every single bit of a journal in turn; it takes some minutes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["test", arguments @ ..] => test::run(arguments),
        ["tidy"] => tidy::run(),
        ["lines"] => lines::run(),
        ["ci"] => ci::run(ci::Tests::Run),
        ["ci", "--skip-tests"] => ci::run(ci::Tests::Skip),
        ["bench", arguments @ ..] if !arguments.is_empty() => bench::run(arguments),
        ["fuzz", arguments @ ..] => fuzz::run(arguments),
        ["simulate", arguments @ ..] => simulate::run(arguments),
        ["bitflips"] => simulate::bit_flips(),
        ["sweep"] => simulate::sweep(),
        ["kills", arguments @ ..] => kills::run(arguments),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
