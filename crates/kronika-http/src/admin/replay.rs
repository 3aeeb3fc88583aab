//! `POST /projections/{name}/replay`: the projection's events handled anew in a scratch file, told as JSON lines.
//!
//! The body names where it ends (`"to"`, a position, or `"until"`, a time; else what is recorded now), from which
//! position on it goes step by step (`"steps_from"`), and the file (`"into"`). A line is
//! `{"progress":{"events","position","last"}}`, `{"step":{"event","rows":[{"key","before","after"}],"parked":[…]}}`,
//! and at the end `{"replayed":{"projection","generation","run","events","position","into"}}` or `{"error":TEXT}`.
//! It ends early once the caller is gone.

use super::{Named, Operated, fields::Fields, refusals::no_projection};
use crate::{
    events::{EventForm, Time},
    problem::{Problem, ProblemKind},
};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use futures_util::{StreamExt, stream};
use kronika_core::{Column, KeyText, ParkedChange, Position, Value};
use kronika_runtime::{Replay, ReplayStep, ReplayTold, ReplayUntil, Replayed};
use serde_json::{Map, json};
use std::{convert::Infallible, path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

/// Lines that are told and that nobody has taken yet.
const LINES_MAX: usize = 64;

/// `POST /projections/{name}/replay`
pub(super) async fn replay(
    State(operated): State<Arc<Operated>>,
    named: Named,
    body: Request,
) -> Result<Response, Problem> {
    let name = named.projection.as_str().to_owned();
    let projections = operated.kronika.projections();
    if !projections.names().any(|known| known == name) {
        return Err(no_projection(name));
    }
    let mut fields = Fields::of(body, &operated).await?;
    let (replay, into) = asked(name, &mut fields)?;
    fields.end()?;
    let Some(make) = operated.kronika.scratch() else {
        let detail = "the store of this service makes no scratch files";
        return Err(Problem::new(ProblemKind::Unavailable, StatusCode::CONFLICT, detail));
    };
    let scratch = make(into.clone()).await.map_err(|error| {
        Problem::new(ProblemKind::BadParameter, StatusCode::CONFLICT, error)
            .with("into", json!(into))
    })?;
    let (told, tells) = mpsc::channel(LINES_MAX);
    let projections = projections.clone();
    let partitions = operated.kronika.journal().capabilities().partitions;
    // It ends with the answer: nobody listens then.
    let running = tokio::spawn(async move { projections.replay(&replay, scratch, told).await });
    let lines = Lines { tells, partitions, columns: Vec::new(), key_columns: 0 };
    let told = stream::unfold(lines, |mut lines| async move {
        let told = lines.tells.recv().await?;
        let line = lines.line(told);
        Some((line, lines))
    });
    let end = stream::once(async move {
        match running.await {
            Ok(Ok(replayed)) => replayed_line(&replayed, &into),
            Ok(Err(error)) => json!({"error": error.to_string()}),
            Err(error) => json!({"error": error.to_string()}),
        }
    });
    let lines = told.filter_map(std::future::ready).chain(end);
    let lines = lines.map(|line| Ok::<_, Infallible>(Bytes::from(format!("{line}\n"))));
    let response = Response::builder().header(CONTENT_TYPE, "application/x-ndjson");
    Ok(response.body(Body::from_stream(lines)).expect("the header is one"))
}

fn asked(projection: String, fields: &mut Fields) -> Result<(Replay, PathBuf), Problem> {
    let position = 0..=i64::MAX as u64;
    let (to, until) = (fields.number("to", position.clone())?, fields.time("until")?);
    let until = match (to, until) {
        (Some(_), Some(_)) => {
            let detail = "a replay ends at a position (to) or at a time (until), not at both";
            return Err(Problem::bad_parameter("to", detail));
        }
        (Some(to), None) => ReplayUntil::Position(Position::new(to)),
        (None, Some(until)) => ReplayUntil::Time(until),
        (None, None) => ReplayUntil::Head,
    };
    let steps_from = fields.number("steps_from", position)?.map(Position::new);
    Ok((Replay { projection, until, steps_from }, fields.path("into")?))
}

/// What is told, as lines.
struct Lines {
    tells: mpsc::Receiver<ReplayTold>,
    partitions: u16,
    /// Names, those of the key first.
    columns: Vec<&'static str>,
    key_columns: usize,
}

impl Lines {
    fn line(&mut self, told: ReplayTold) -> Option<serde_json::Value> {
        match told {
            ReplayTold::Begun { key, row } => {
                self.key_columns = key.len();
                self.columns = key.iter().chain(&row).map(|Column { name, .. }| *name).collect();
                None
            }
            ReplayTold::Progress { events, at, last } => {
                let (position, last) = (at.position.get(), last.get());
                let progress = json!({"events": events, "position": position, "last": last});
                Some(json!({"progress": progress}))
            }
            ReplayTold::Step(step) => Some(json!({"step": self.step(&step)})),
            _ => None,
        }
    }

    fn step(&self, step: &ReplayStep) -> serde_json::Value {
        let event = EventForm::of(&step.event, self.partitions);
        let event = event.and_then(serde_json::to_value).unwrap_or_else(
            |error| json!({"position": step.event.position.get(), "error": error.to_string()}),
        );
        let (key_names, row_names) = self.columns.split_at(self.key_columns);
        let rows = step.rows.iter().map(|row| {
            let others = |values: &Vec<Value>| fields(row_names, values);
            json!({
                "key": fields(key_names, &row.key),
                "before": row.before.as_ref().map(others),
                "after": row.after.as_ref().map(others),
            })
        });
        let parked = step.parked.iter().map(|change| match change {
            ParkedChange::Park { key, cause, .. } => parked(key, Some(cause)),
            change => parked(change.key(), None),
        });
        let (rows, parked): (Vec<_>, Vec<_>) = (rows.collect(), parked.collect());
        json!({"event": event, "rows": rows, "parked": parked})
    }
}

fn parked(key: &KeyText, cause: Option<&String>) -> serde_json::Value {
    json!({"key": key.as_str(), "cause": cause})
}

/// Values by the names of their columns.
fn fields(names: &[&'static str], values: &[Value]) -> serde_json::Value {
    let fields = names.iter().zip(values);
    let fields: Map<_, _> =
        fields.map(|(name, value)| ((*name).to_owned(), value_as_json(value))).collect();
    fields.into()
}

/// A column's value; bytes as hexadecimal digits, numbers that JSON does not know as text.
fn value_as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(boolean) => json!(boolean),
        Value::Integer(number) => json!(number),
        Value::Real(real) if real.is_finite() => json!(real),
        Value::Real(real) => json!(real.to_string()),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => {
            json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Value::Time(time) => json!(Time(*time)),
        _ => serde_json::Value::Null,
    }
}

fn replayed_line(replayed: &Replayed, into: &std::path::Path) -> serde_json::Value {
    let id = &replayed.read_model;
    json!({"replayed": {
        "projection": id.name.as_str(),
        "generation": id.generation.get(),
        "run": id.run,
        "events": replayed.events,
        "position": replayed.checkpoint.seen.to_string(),
        "into": into,
    }})
}
