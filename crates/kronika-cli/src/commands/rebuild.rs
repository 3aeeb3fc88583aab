//! `kronika rebuild`: another run of a read model, and its progress until it is live.

use super::{
    act::{self, Taken, What, Wish},
    projections::{left, rate},
};
use crate::{
    arguments::Rebuild,
    failure::Failure,
    forms::Standing,
    output,
    progress::EventBar,
    standing::{self, Seen},
};
use kronika_core::{By, Stage};
use std::{
    io::{self, IsTerminal},
    path::Path,
    thread,
    time::Duration,
};

/// Between two looks at how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Looks at one that has seen everything and has an error, before it is said that it does not become live.
const LOOKS_AT_READY_MAX: usize = 50;

pub fn run(arguments: &Rebuild) -> Result<(), Failure> {
    let Rebuild { name, generation, hold, rate, by, .. } = arguments;
    let data = &arguments.data.data;
    let what = What::Rebuild { generation: *generation, hold: *hold, events_per_second: *rate };
    let wish = Wish { name: name.clone(), run: None, what, by: By::new(&by.who, &by.why) };
    let before = standing::read(data, Some(name))?.standings;
    let taken = act::take(data, &wish)?;
    let waits = arguments.wait || (io::stderr().is_terminal() && !arguments.no_wait);
    if !waits || matches!(taken, Taken::Recorded { .. }) {
        return act::tell(arguments.form.json, &wish, &taken);
    }
    let seen = standing::read(data, Some(name))?.standings;
    let is_new = |standing: &&Standing| !before.iter().any(|it| it.number() == standing.number());
    let Some(number) = seen.iter().find(is_new).map(Standing::number) else {
        return Err(Failure::Words(format!("what is built of {name} was dropped at once")));
    };
    let (standing, text) = follow(arguments, data, &number)?;
    output::print(&arguments.form, &standing, text)
}

/// Shows the progress until it is over; how it stands then, and what that is.
fn follow(arguments: &Rebuild, data: &Path, number: &str) -> Result<(Standing, String), Failure> {
    let name = arguments.name.as_str();
    let bar = EventBar::new(format!("building {name} {number}"), &arguments.form.quiet);
    let mut looks_at_ready = 0;
    loop {
        let seen = standing::read(data, None)?;
        match step(&seen, name, number, arguments.hold)? {
            Step::Over(standing, text) => return Ok((standing.clone(), text)),
            Step::On(standing) => {
                let is_ready = standing.state == "running" && standing.lag_events == 0;
                looks_at_ready = if is_ready { looks_at_ready + 1 } else { 0 };
                if let Some(error) = &standing.error
                    && looks_at_ready > LOOKS_AT_READY_MAX
                {
                    let error = output::plain(error);
                    let words =
                        format!("{name} {number} is built and does not become live: {error}");
                    return Err(Failure::Words(words));
                }
                let seen = standing.seen();
                let text = match &standing.error {
                    Some(error) => output::plain(error),
                    None => format!("{}, {} left", rate(standing), left(standing)),
                };
                bar.set(seen, seen + standing.lag_events, text);
            }
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

#[derive(Debug)]
enum Step<'a> {
    On(&'a Standing),
    Over(&'a Standing, String),
}

/// How far it is, or why it is over.
fn step<'a>(seen: &'a Seen, name: &str, number: &str, hold: bool) -> Result<Step<'a>, Failure> {
    let words = |words: String| Err(Failure::Words(words));
    let is_it = |standing: &&Standing| standing.name == name && standing.number() == number;
    let Some(standing) = seen.standings.iter().find(is_it) else {
        return words(format!("{name} {number} was dropped before it was live"));
    };
    if standing.stage == Stage::Live {
        return Ok(Step::Over(standing, format!("{name} {number} is live")));
    }
    if standing.stage == Stage::Old {
        return words(format!("{name} {number} was overtaken by another one: it is old now"));
    }
    if !seen.held {
        return words(format!(
            "the service ended before {name} {number} was live; it goes on when it is started again"
        ));
    }
    match (&*standing.state, &standing.error) {
        ("failed", error) => {
            let error = output::plain(error.as_deref().unwrap_or("it does not say why"));
            words(format!(
                "{name} {number} failed: {error}; it is tried again after any act on {name}"
            ))
        }
        ("running", _) if hold && standing.lag_events == 0 => {
            let text = format!("{name} {number} is built; `kronika switch {name}` makes it live");
            Ok(Step::Over(standing, text))
        }
        _ => Ok(Step::On(standing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(stage: Stage, state: &str, lag_events: u64, error: Option<&str>) -> Standing {
        Standing {
            name: "orders".to_owned(),
            generation: 1,
            run: 2,
            stage,
            state: state.to_owned(),
            position: None,
            positions: vec![],
            lag_events,
            lag_seconds: 0.0,
            events: 0,
            events_per_second: 0.0,
            seconds_left: None,
            parked: 0,
            letters: 0,
            workers: 1,
            events_per_second_max: None,
            paused: false,
            switching: true,
            error: error.map(str::to_owned),
            reported: None,
        }
    }

    fn check(standing: Standing, held: bool, hold: bool, expected: &str) {
        let seen = Seen { standings: vec![standing], held, head: None };
        let found = match step(&seen, "orders", "1.2", hold) {
            Ok(Step::On(_)) => "goes on".to_owned(),
            Ok(Step::Over(_, text)) => text,
            Err(failure) => format!("failure: {failure}"),
        };
        assert!(found.starts_with(expected), "{found}");
    }

    #[test]
    fn it_is_over_when_it_is_live_or_can_never_be() {
        let building = |state, lag, error| standing(Stage::Building, state, lag, error);
        check(building("running", 3, None), true, false, "goes on");
        check(building("running", 0, None), true, false, "goes on");
        check(building("running", 0, None), true, true, "orders 1.2 is built");
        check(building("running", 3, None), true, true, "goes on");
        check(building("running", 0, Some("key a is parked")), true, true, "orders 1.2 is built");
        check(building("running", 0, Some("key a is parked")), true, false, "goes on");
        check(building("paused", 3, None), true, false, "goes on");
        check(building("starting", 0, None), true, true, "goes on");
        check(building("failed", 3, Some("no")), true, false, "failure: orders 1.2 failed: no");
        check(building("stopped", 3, None), false, false, "failure: the service ended");
        check(standing(Stage::Live, "running", 0, None), true, false, "orders 1.2 is live");
        check(
            standing(Stage::Old, "running", 0, None),
            true,
            false,
            "failure: orders 1.2 was over",
        );
        let other = Standing { run: 3, ..building("running", 0, None) };
        check(other, true, false, "failure: orders 1.2 was dropped");
    }
}
