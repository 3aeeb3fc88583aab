//! `kronika`: what an operator does with a data directory. `kronika --help` says what that is.
//!
//! It only calls the tools of `kronika-log`, looks at read models and asks their service, and tells what came of it: results on standard output, progress and
//! what went wrong on standard error. Exit codes: 0 done, 1 could not be done, 2 wrong use.
#![allow(missing_docs, reason = "a binary has no public interface")]

mod arguments;
mod commands;
mod failure;
mod forms;
mod output;
mod place;
mod progress;
mod socket;
mod standing;
mod table;

use arguments::{Arguments, Command, Keys, Target};
use clap::Parser;
use commands::act::{self, What};
use failure::Failure;
use kronika_core::ParkedRequest;
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error that is gone leaves only the exit code to tell.
            let _ = writeln!(io::stderr(), "kronika: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Backup(arguments) => commands::backup::run(&arguments),
        Command::Restore(arguments) => commands::restore::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Stats(arguments) => commands::stats::run(&arguments),
        Command::Events(arguments) => commands::events::run(&arguments),
        Command::Projections(arguments) => commands::projections::run(&arguments),
        Command::Parked(arguments) => commands::parked::run(&arguments),
        Command::Acts(arguments) => commands::acts::run(&arguments),
        Command::Rebuild(arguments) => commands::rebuild::run(&arguments),
        Command::Replay(arguments) => commands::replay::run(&arguments),
        Command::Switch(it) => act::run(&it.target, it.to, What::Switch),
        Command::Pause(it) => act::run(&it.target, it.of.read_model, What::Pause),
        Command::Resume(it) => act::run(&it.target, it.of.read_model, What::Resume),
        Command::Throttle(it) => act::run(&it.target, it.of.read_model, What::Throttle(it.rate.0)),
        Command::Workers(it) => act::run(&it.target, it.of.read_model, What::Workers(it.workers)),
        Command::Drop(it) => act::run(&it.target, it.read_model, What::Drop),
        Command::Retry(it) => parked(&it.target, it.keys, ParkedRequest::Retry),
        Command::DropKey(it) => parked(&it.target, it.keys, ParkedRequest::Drop),
        Command::Skip(it) => {
            let what = What::Parked(it.key, ParkedRequest::Skip);
            act::run(&it.target, it.of.read_model, what)
        }
    }
}

/// Does something with one parked key, or with all.
fn parked(target: &Target, keys: Keys, request: ParkedRequest) -> Result<(), Failure> {
    let what = match keys.key {
        Some(key) => What::Parked(key, request),
        None => What::AllParked(request),
    };
    act::run(target, keys.of.read_model, what)
}
