//! `kronika projections`: how read models stand, once or again and again.

use crate::{
    arguments::Projections,
    failure::Failure,
    forms::Standing,
    output,
    standing::{self, Seen},
    table::Table,
};
use kronika_core::Stage;
use std::{
    fmt,
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its beginning.
const ANEW: &str = "\x1b[2J\x1b[H";

pub fn run(arguments: &Projections) -> Result<(), Failure> {
    let (before, after) = match arguments.watch {
        false => ("", ""),
        true if io::stdout().is_terminal() => (ANEW, ""),
        true => ("", "\n"),
    };
    loop {
        let seen = standing::read(&arguments.data.data, arguments.name.as_ref())?;
        let text = format_args!("{before}{}{after}", Text(&seen)).to_string();
        let is_there = output::print_all(arguments.json, &seen.standings, text)?;
        if !arguments.watch || !is_there {
            return Ok(());
        }
        thread::sleep(EVERY);
    }
}

struct Text<'a>(&'a Seen);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standings = &self.0.standings;
        if standings.is_empty() {
            f.write_str("no projection has been started yet")?;
        } else {
            let mut table = Table::new([
                "NAME", "RUN", "STAGE", "STATE", "POSITION", "LAG", "RATE", "LEFT", "PARKED",
            ]);
            standings.iter().for_each(|standing| table.push(row(standing)));
            write!(f, "{table}")?;
        }
        for standing in standings {
            if let Some(error) = &standing.error {
                let (name, number) = (&standing.name, standing.number());
                write!(f, "\n{name} {number}: {}", output::plain(error))?;
            }
        }
        if let Some(head) = self.0.head {
            write!(f, "\nthe journal is at position {}", head.position)?;
        }
        self.0.note().map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}

fn row(standing: &Standing) -> [String; 9] {
    [
        standing.name.clone(),
        standing.number(),
        stage(standing),
        state(standing),
        position(standing),
        lag(standing),
        rate(standing),
        left(standing),
        parked(standing),
    ]
}

/// What it does, and what it is about to do.
fn state(standing: &Standing) -> String {
    let state = output::plain(&standing.state);
    match (standing.paused, &*state) {
        (true, "paused" | "failed" | "frozen") => state,
        (true, _) => format!("{state}, to pause"),
        (false, "paused") => "paused, to go on".to_owned(),
        (false, _) => state,
    }
}

/// What it is for, and whether it is to become live.
fn stage(standing: &Standing) -> String {
    match (standing.stage, standing.switching) {
        (Stage::Building, false) => "building, held".to_owned(),
        (Stage::Old, true) => "old, to be live".to_owned(),
        (stage, _) => stage.to_string(),
    }
}

fn position(standing: &Standing) -> String {
    match &standing.positions[..] {
        [] => "0".to_owned(),
        [one] => one.position.to_string(),
        many => {
            let each = many.iter().map(|at| format!("{}:{}", at.partition, at.position));
            each.collect::<Vec<_>>().join(" ")
        }
    }
}

fn lag(standing: &Standing) -> String {
    let Standing { lag_events, lag_seconds, .. } = *standing;
    match lag_seconds > 0.0 {
        true => format!("{lag_events}, {}", output::seconds(lag_seconds)),
        false => lag_events.to_string(),
    }
}

/// How fast it catches up, and how fast it may; nothing where it has caught up.
pub fn rate(standing: &Standing) -> String {
    let rate = standing.events_per_second;
    match standing.events_per_second_max {
        Some(max) => format!("{rate:.0}/s of {max}"),
        None if standing.lag_events == 0 && rate == 0.0 => "-".to_owned(),
        None => format!("{rate:.0}/s"),
    }
}

/// Time left, where there is something left and it is known how long it takes.
pub fn left(standing: &Standing) -> String {
    let left = standing.seconds_left.filter(|left| *left > 0.0);
    left.map_or_else(|| "-".to_owned(), output::seconds)
}

fn parked(standing: &Standing) -> String {
    let Standing { parked, letters, .. } = standing;
    match parked {
        0 => "0".to_owned(),
        _ => format!("{parked}, {letters} events"),
    }
}
