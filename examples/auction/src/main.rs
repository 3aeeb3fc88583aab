//! An auction house: the example service of Kronika. `auction --help` says what it can do.
#![allow(missing_docs, reason = "a binary has no public interface")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results are its output")]

mod auction;
mod bidding;
mod bids;
mod check;
mod money;
mod names;
mod output;
mod progress;
mod queries;
mod read_models;
mod replay;
mod serve;
mod service;
#[cfg(test)]
mod shapes;
mod simulate;
mod traffic;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

/// Commands are allocated on one thread and freed on another, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An auction house on Kronika: real-time bidding, kept as events.
///
/// Without a subcommand it serves HTTP on loopback, with lively simulated bidding, and keeps everything in
/// the data directory. Stop it with Ctrl-C; started again it goes on where it was.
#[derive(Parser)]
#[command(name = "auction", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
    /// Form of the log on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogForm::Text, env = "KRONIKA_LOG_FORM")]
    log: LogForm,
}

#[derive(Subcommand)]
enum Command {
    /// Serves HTTP, with simulated bidding unless --quiet.
    Serve(Serve),
    /// Replays a file of real bids, then prints what came of them.
    ///
    /// Each command carries an idempotency key from its row: a replay that was killed is simply started again.
    Replay(Replay),
    /// Bids at random, checks the read models against the journal, and prints rate and latencies.
    Simulate(Simulate),
}

#[derive(Args)]
struct Serve {
    /// Where everything is kept; made if it is not there.
    #[arg(long, default_value = "auction-data", env = "KRONIKA_DATA")]
    data: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", env = "KRONIKA_LISTEN")]
    listen: SocketAddr,
    /// No simulated bidding and no live line; only warnings in the log.
    #[arg(long)]
    quiet: bool,
}

#[derive(Args)]
struct Replay {
    /// A CSV file with the columns auctionid, bid, bidtime, bidder, bidderrate, openbid, price, item,
    /// auction_type.
    file: PathBuf,
    /// Where everything is kept; made if it is not there.
    #[arg(long, default_value = "auction-data", env = "KRONIKA_DATA")]
    data: PathBuf,
    /// Prints one JSON object on one line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Simulate {
    /// Auctions to bid in.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    auctions: u32,
    /// Commands to send.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    commands: u64,
    /// Callers at a time, each with one command under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    callers: u32,
    /// Seed of the bidding.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where everything is kept; without it, in a temporary directory that is removed at the end.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Prints one JSON object on one line.
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq)]
enum LogForm {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command = arguments.command.unwrap_or(Command::Serve(arguments.serve));
    let verbose = matches!(&command, Command::Serve(serve) if !serve.quiet);
    start_log(arguments.log, verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done =
        runtime.map_err(|error| format!("no threads to run on: {error}")).and_then(|runtime| {
            runtime.block_on(async {
                match command {
                    Command::Serve(Serve { data, listen, quiet }) => {
                        serve::run(&data, listen, quiet).await
                    }
                    Command::Replay(Replay { file, data, json }) => {
                        replay::run(&file, &data, json).await
                    }
                    Command::Simulate(Simulate {
                        auctions,
                        commands,
                        callers,
                        seed,
                        data,
                        json,
                    }) => {
                        let load = simulate::Load { auctions, commands, callers, seed };
                        simulate::run(load, data.as_deref(), json).await
                    }
                }
            })
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error that is gone leaves only the exit code to tell.
            let _ = writeln!(io::stderr(), "auction: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to standard error; `RUST_LOG` says more exactly what.
fn start_log(form: LogForm, verbose: bool) {
    use tracing_subscriber::{EnvFilter, fmt};
    let level = if verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let log = log.with_env_filter(filter);
    match form {
        LogForm::Text => log.init(),
        LogForm::Json => log.json().init(),
    }
}
