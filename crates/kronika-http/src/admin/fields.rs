//! The body of an act, read strictly: a field that is misspelt would act on something else than was meant.

use super::Operated;
use crate::{
    body,
    problem::{Problem, ProblemKind},
};
use axum::{extract::Request, http::StatusCode};
use kronika_core::{By, Generation};
use serde_json::{Map, Value};
use std::{ops::RangeInclusive, time::Duration};
use tokio::time::timeout;

/// Time that a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The fields that nobody has asked for yet.
pub(super) struct Fields(Map<String, Value>);

/// The body is JSON, but not of an act.
fn unfit(name: &str, detail: impl Into<String>) -> Problem {
    let pointer = name.replace('~', "~0").replace('/', "~1");
    Problem::bad_body(StatusCode::UNPROCESSABLE_ENTITY, detail)
        .with("pointer", format!("/{pointer}"))
}

impl Fields {
    pub async fn of(request: Request, operated: &Operated) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes =
            timeout(BODY_TIME_MAX, body::read(&parts.headers, body, &operated.limits)).await;
        let bytes = bytes.unwrap_or_else(|_| {
            let detail = "the body did not come in time; nothing was done";
            Err(Problem::unavailable(ProblemKind::Deadline, detail))
        })?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Problem::bad_body(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body of an act is an object",
            )
            .with("pointer", "")),
            Err(_) => Err(Problem::bad_body(StatusCode::BAD_REQUEST, "the body is not JSON")),
        }
    }

    /// Who acts, and why: nothing is done without.
    pub fn by(&mut self) -> Result<By, Problem> {
        let who = self.text("who")?;
        Ok(By::new(&who, &self.text("why")?))
    }

    fn text(&mut self, name: &str) -> Result<String, Problem> {
        match self.0.remove(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
            _ => Err(unfit(name, format!("{name} is a text that is not empty; it is recorded"))),
        }
    }

    /// Absent and `null` are the same.
    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(unfit(name, format!("{name} is true or false"))),
        }
    }

    /// A number that is there.
    pub fn needed(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
        let number = self.number(name, range.clone())?;
        number.ok_or_else(|| out_of(name, &range))
    }

    /// A number or `null`, but something.
    pub fn nullable(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        if !self.0.contains_key(name) {
            return Err(unfit(name, format!("{name} is a number, or null for no bound")));
        }
        self.number(name, range)
    }

    /// Absent and `null` are the same.
    pub fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| range.contains(number));
                number.map(Some).ok_or_else(|| out_of(name, &range))
            }
        }
    }

    pub fn generation(&mut self) -> Result<Option<Generation>, Problem> {
        Ok(self.small("generation")?.map(Generation::new))
    }

    pub fn run(&mut self) -> Result<Option<u32>, Problem> {
        self.small("run")
    }

    fn small(&mut self, name: &str) -> Result<Option<u32>, Problem> {
        let number = self.number(name, 0..=u64::from(u32::MAX))?;
        Ok(number.map(|number| u32::try_from(number).expect("it is within the range")))
    }

    /// Nothing is left over.
    pub fn end(self) -> Result<(), Problem> {
        let left = self.0.keys().next();
        left.map_or(Ok(()), |name| Err(unfit(name, format!("this act has no field {name:?}"))))
    }
}

fn out_of(name: &str, range: &RangeInclusive<u64>) -> Problem {
    let (least, most) = (range.start(), range.end());
    unfit(name, format!("{name} is a whole number from {least} to {most}"))
}
