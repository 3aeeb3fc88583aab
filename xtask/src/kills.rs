//! `cargo xtask kills`: a real process is killed in the midst of its work, as often as it is asked for, and what it
//! leaves is looked at: that of the log, which appends, and that of a service, whose read models are operated.

use crate::shell::{self, Done};
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: cargo xtask kills [log|service] [--rounds N] [--seed SEED]";
/// How the tests know how often to kill.
const ROUNDS: &str = "KRONIKA_KILLS";
/// How that of the service knows what to do.
const SEED: &str = "KRONIKA_KILLS_SEED";
const ROUNDS_UNLESS_SAID: u64 = 200;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Victim {
    Log,
    Service,
}

#[derive(PartialEq, Debug)]
struct Kills {
    /// Both, if nothing is said.
    victims: Vec<Victim>,
    rounds: u64,
    /// From the clock, if nothing is said.
    seed: Option<u64>,
}

/// Kills so many times, in a release build; ends at the first victim that did not leave what it had to.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let Kills { victims, rounds, seed } = parsed(arguments)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = seed.unwrap_or(since.as_secs());
    for victim in victims {
        let package = match victim {
            Victim::Log => "kronika-log",
            Victim::Service => "kronika",
        };
        let arguments =
            ["test", "--release", "--package", package, "--test", "kills", "--", "--nocapture"];
        let mut test = shell::cargo(&arguments);
        shell::run(test.env(ROUNDS, rounds.to_string()).env(SEED, seed.to_string()))?;
    }
    Ok(())
}

fn parsed(arguments: &[&str]) -> Done<Kills> {
    let (victims, mut options) = match arguments {
        ["log", rest @ ..] => (vec![Victim::Log], rest),
        ["service", rest @ ..] => (vec![Victim::Service], rest),
        rest => (vec![Victim::Log, Victim::Service], rest),
    };
    let mut kills = Kills { victims, rounds: ROUNDS_UNLESS_SAID, seed: None };
    while let [option, number, rest @ ..] = options {
        let number = number.parse().map_err(|_| format!("{number} is no number; {USAGE}"))?;
        match *option {
            "--rounds" => kills.rounds = number,
            "--seed" => kills.seed = Some(number),
            _ => return Err(USAGE.to_owned()),
        }
        options = rest;
    }
    if options.is_empty() { Ok(kills) } else { Err(USAGE.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn victims_rounds_and_seed_are_told() {
        let check = |arguments: &[&str], victims: &[Victim], rounds: u64, seed: Option<u64>| {
            let victims = victims.to_vec();
            assert_eq!(parsed(arguments), Ok(Kills { victims, rounds, seed }));
        };
        let both = [Victim::Log, Victim::Service];
        check(&[], &both, 200, None);
        check(&["--rounds", "7"], &both, 7, None);
        check(&["log", "--rounds", "7"], &both[..1], 7, None);
        check(&["service", "--seed", "3", "--rounds", "7"], &both[1..], 7, Some(3));
        for wrong in [&["--rounds"][..], &["--rounds", "x"], &["disk"], &["log", "--seeds", "1"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
