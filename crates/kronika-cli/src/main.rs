//! `kronika`: what an operator does with a data directory. `kronika --help` says what that is.
//!
//! It only calls the tools of `kronika-log` and tells what came of them: results on standard output, progress and
//! what went wrong on standard error. Exit codes: 0 done, 1 could not be done, 2 wrong use.
#![allow(missing_docs, reason = "a binary has no public interface")]

mod arguments;
mod commands;
mod failure;
mod output;
mod place;
mod progress;

use arguments::{Arguments, Command};
use clap::Parser;
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let done = match command {
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Backup(arguments) => commands::backup::run(&arguments),
        Command::Restore(arguments) => commands::restore::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Stats(arguments) => commands::stats::run(&arguments),
        Command::Events(arguments) => commands::events::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error that is gone leaves only the exit code to tell.
            let _ = writeln!(io::stderr(), "kronika: {failure}");
            ExitCode::FAILURE
        }
    }
}
