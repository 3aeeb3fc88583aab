//! `kronika replay`: what each event changes, in a scratch file, by the running service.

use super::act::not_connected;
use crate::{
    arguments::Replay,
    failure::Failure,
    output, place,
    progress::EventBar,
    socket::{self, Unanswered},
};
use kronika_log::{DirectoryLock, OpenError};
use serde_json::{Map, Value, json};
use std::{fmt::Write, path::absolute};

pub fn run(arguments: &Replay) -> Result<(), Failure> {
    let data = &arguments.data.data;
    place::read_models(data)?;
    let holder = match DirectoryLock::acquire(data) {
        Err(OpenError::InUse { holder, .. }) => holder,
        Err(other) => return Err(other.into()),
        Ok(_) => {
            let words = format!(
                "no service holds {}: start it, a replay needs the handlers that it was built with",
                data.display()
            );
            return Err(Failure::Words(words));
        }
    };
    let into = absolute(&arguments.into);
    let into = into.map_err(|error| Failure::Words(format!("--into is no path: {error}")))?;
    let body = json!({
        "to": arguments.to,
        "until": arguments.until.map(output::time),
        "steps_from": arguments.steps_from,
        "into": into,
    });
    let socket = socket::path(data);
    let route = format!("/projections/{}/replay", arguments.name);
    let mut told = Told::new(arguments);
    let lines = socket::lines(&socket, &route, &body, |line| told.line(line));
    let answered = super::runtime()?.block_on(lines);
    match answered {
        Ok(None) => told.end(),
        Ok(Some(refused)) => {
            let problem: Value = serde_json::from_slice(&refused.body).unwrap_or_default();
            let detail = problem["detail"].as_str().unwrap_or("the service refuses it");
            Err(Failure::Words(detail.to_owned()))
        }
        Err(Unanswered::NotConnected(error)) => Err(not_connected(data, holder, &error)),
        Err(Unanswered::Unknown(what)) => {
            Err(Failure::Words(format!("the service did not tell all: {what}; look into its log")))
        }
    }
}

/// What was told so far.
struct Told<'a> {
    arguments: &'a Replay,
    bar: Option<EventBar>,
    /// The last line, or why nothing more can be told.
    end: Option<Result<Value, Failure>>,
}

impl<'a> Told<'a> {
    fn new(arguments: &'a Replay) -> Self {
        let bar = EventBar::new(format!("replays {}", arguments.name), &arguments.form.quiet);
        Self { arguments, bar: Some(bar), end: None }
    }

    /// Takes a line; whether there is to be more.
    fn line(&mut self, line: &str) -> bool {
        let Ok(value) = serde_json::from_str::<Value>(line) else { return true };
        if let Some(progress) = value.get("progress") {
            let number = |name: &str| progress[name].as_u64().unwrap_or_default();
            if let Some(bar) = &self.bar {
                bar.set(
                    number("position"),
                    number("last"),
                    format!("{} handled", number("events")),
                );
            }
            return true;
        }
        if let Some(step) = value.get("step") {
            // What is printed and the bar would overwrite each other.
            self.bar = None;
            return match output::print(&self.arguments.form, step, text_of(step)) {
                Ok(()) => true,
                Err(failure) => {
                    self.end = Some(Err(failure));
                    false
                }
            };
        }
        if let Some(error) = value["error"].as_str() {
            self.end = Some(Err(Failure::Words(error.to_owned())));
        } else if let Some(replayed) = value.get("replayed") {
            self.end = Some(Ok(replayed.clone()));
        }
        true
    }

    fn end(mut self) -> Result<(), Failure> {
        self.bar = None;
        let cut = || Failure::Words("the service ended the replay; look into its log".to_owned());
        let replayed = self.end.ok_or_else(cut)??;
        let text = format!(
            "{} events of {} (generation {}) are in {}",
            replayed["events"],
            replayed["projection"].as_str().unwrap_or_default(),
            replayed["generation"],
            replayed["into"].as_str().unwrap_or_default(),
        );
        output::print(&self.arguments.form, &replayed, text)
    }
}

/// A step as people read it: the event on one line, and below it each row that it changed.
fn text_of(step: &Value) -> String {
    let event = &step["event"];
    let field = |name: &str| event[name].as_str().unwrap_or_default();
    let mut text = format!(
        "{} {} {} version {} {}",
        event["position"],
        field("time"),
        field("stream"),
        event["version"],
        field("name"),
    );
    let _ = write!(text, " {}", event["body"]);
    for row in step["rows"].as_array().into_iter().flatten() {
        let key: Vec<_> = row["key"].as_object().into_iter().flat_map(Map::values).collect();
        let key: Vec<_> = key.into_iter().map(plain).collect();
        let _ = write!(text, "\n    {}: {}", key.join("/"), changes(&row["before"], &row["after"]));
    }
    for parked in step["parked"].as_array().into_iter().flatten() {
        let key = plain(&parked["key"]);
        let _ = match parked["cause"].as_str() {
            Some(cause) => write!(text, "\n    {key}: parked, {}", output::plain(cause)),
            None => write!(text, "\n    {key}: is parked, the event waits"),
        };
    }
    text
}

/// The fields that are others now.
fn changes(before: &Value, after: &Value) -> String {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return match after {
            Value::Null => "deleted".to_owned(),
            after => format!("made {after}"),
        };
    };
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let changed = changed.map(|(name, value)| {
        let before = before.get(name).unwrap_or(&Value::Null);
        format!("{name} {before} -> {value}")
    });
    changed.collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => output::plain(text),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_with_what_it_changed() {
        let step = json!({
            "event": {"position": 7, "time": "T", "stream": "order/3", "version": 2, "name": "paid", "body": {"n": 7}},
            "rows": [
                {"key": {"key": "3"}, "before": {"events": 1, "open": true}, "after": {"events": 2, "open": true}},
                {"key": {"key": "4"}, "before": null, "after": {"events": 1}},
                {"key": {"key": "5"}, "before": {"events": 1}, "after": null},
            ],
            "parked": [{"key": "6", "cause": "it cannot be"}, {"key": "8", "cause": null}],
        });
        assert_eq!(
            text_of(&step),
            "7 T order/3 version 2 paid {\"n\":7}\n    3: events 1 -> 2\n    4: made {\"events\":1}\n    5: deleted\n    \
             6: parked, it cannot be\n    8: is parked, the event waits"
        );
    }
}
