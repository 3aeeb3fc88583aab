//! Live queries: a query's answer, and again each time that rows change which it is made from.
//!
//! What is told is always the present answer, so that a slow client misses nothing that matters and nothing
//! piles up: changes that come while an answer is being made are one more answer.

use crate::{
    problem::{Problem, ProblemKind},
    queries::{Waiting, as_problem},
    serve::Draining,
    shared::place,
    sse,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, request::Parts},
    middleware::Next,
    response::{Response, sse::Event},
};
use futures_util::{
    future::select_all,
    stream::{self, Stream},
};
use kronika_core::{KeyText, Token};
use kronika_runtime::RowsChanged;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        broadcast::{Receiver, error::RecvError},
    },
    time::{Instant, sleep_until},
};

/// Time between two answers of one feed, at least.
const PACE: Duration = Duration::from_millis(20);
/// Wait before a query that was refused for now is asked again, and how often.
const RETRY: Duration = Duration::from_millis(200);
const REFUSALS_MAX: u32 = 10;
/// Bytes of one answer, at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a client that comes again is let wait until the read models have what it has seen.
const RESUME_TIME_MAX: Duration = Duration::from_secs(5);

/// Opens a feed of a query's answers.
pub(crate) async fn live(
    waiting: Arc<Waiting>,
    key: Option<KeyText>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let draining = request.extensions().get::<Draining>().cloned().unwrap_or_default();
    resume(&waiting, request.headers()).await?;
    let permit = place(&waiting.shared.feeds, "live feeds")?;
    let projections = waiting.shared.kronika.projections();
    let changes = |name: &String| {
        let missing = || Problem::not_found(format!("there is no projection {name}"));
        projections.changes(name).ok_or_else(missing)
    };
    // Before the first answer, so that no change between the two is missed.
    let changes = waiting.projections.iter().map(changes).collect::<Result<Vec<_>, _>>()?;
    let (parts, _) = request.into_parts();
    let feed = Feed {
        waiting,
        key,
        parts,
        next,
        changes,
        told: None,
        not_before: None,
        refusals: 0,
        again: false,
        ended: false,
        _permit: permit,
    };
    Ok(sse::told(feed.events(), draining))
}

/// A client that comes again is never shown less than it has seen.
async fn resume(waiting: &Waiting, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(last) = headers.get("last-event-id").filter(|last| !last.is_empty()) else {
        return Ok(());
    };
    let token: Option<Token> = last.to_str().ok().and_then(|last| last.parse().ok());
    let wrong =
        || Problem::bad_parameter("Last-Event-ID", "Last-Event-ID is a token of this service");
    let token = token.ok_or_else(wrong)?;
    let names: Vec<_> = waiting.projections.iter().map(String::as_str).collect();
    let projections = waiting.shared.kronika.projections();
    waiting.waited(projections.wait_for(&names, &token, RESUME_TIME_MAX).await)
}

struct Feed {
    waiting: Arc<Waiting>,
    key: Option<KeyText>,
    parts: Parts,
    next: Next,
    changes: Vec<Receiver<RowsChanged>>,
    /// The answer before; `None` inside where there was nothing.
    told: Option<Option<Bytes>>,
    not_before: Option<Instant>,
    /// Refusals one after the other, and whether it is to be asked again without a change.
    refusals: u32,
    again: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, |mut feed| async move {
            if feed.ended {
                return None;
            }
            let event = feed.next().await.unwrap_or_else(|problem| {
                feed.ended = true;
                Event::default().event("problem").data(problem.to_json().to_string())
            });
            Some((Ok(event), feed))
        })
    }

    /// The next answer that is not the one before.
    async fn next(&mut self) -> Result<Event, Problem> {
        loop {
            if self.told.is_some() && !self.again {
                self.changed().await?;
            }
            if let Some(at) = self.not_before {
                sleep_until(at).await;
            }
            // What comes from here on makes one more answer; what came before is in this one.
            self.changes.iter_mut().for_each(|changes| *changes = changes.resubscribe());
            let seen = self.seen();
            let answer = match self.answer().await {
                // Too much is asked just now: others do not come again at the same moment.
                Err(problem) if may_pass(&problem) && self.refusals < REFUSALS_MAX => {
                    self.refusals += 1;
                    let wait = RETRY.mul_f64(0.5 + fastrand::f64());
                    self.not_before = Instant::now().checked_add(wait * self.refusals);
                    self.again = true;
                    continue;
                }
                answer => answer?,
            };
            (self.refusals, self.again) = (0, false);
            self.not_before = Instant::now().checked_add(PACE);
            if self.told.as_ref() == Some(&answer) {
                continue;
            }
            let event = Event::default().id(seen.to_string());
            let event = match &answer {
                Some(body) => event.data(text(body)?),
                None => event.event("gone").data("null"),
            };
            self.told = Some(answer);
            return Ok(event);
        }
    }

    /// What all read models behind the query have seen: its answer, made after this, has no less.
    fn seen(&self) -> Token {
        let projections = self.waiting.shared.kronika.projections();
        let mut seen = self.waiting.shared.kronika.empty_token();
        let tokens = self.waiting.projections.iter().filter_map(|name| projections.watch(name));
        let mut tokens = tokens.map(|status| status.borrow().seen.clone());
        if let Some(mut least) = tokens.next() {
            for token in tokens {
                least = least_of(&least, &token);
            }
            // One of another history says nothing.
            let _ = seen.merge(&least);
        }
        seen
    }

    /// Waits until rows change that the answer may be made from.
    async fn changed(&mut self) -> Result<(), Problem> {
        loop {
            if self.changes.is_empty() {
                // Made from nothing that changes.
                std::future::pending::<()>().await;
            }
            let waits = self.changes.iter_mut().map(|changes| Box::pin(changes.recv()));
            let (changed, ..) = select_all(waits).await;
            match changed {
                Ok(changed) if !self.concerns(&changed) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return Ok(()),
                Err(RecvError::Closed) => {
                    let detail = "the read models are no longer kept";
                    return Err(Problem::unavailable(ProblemKind::Unavailable, detail));
                }
            }
        }
    }

    fn concerns(&self, changed: &RowsChanged) -> bool {
        match (&self.key, &changed.keys) {
            (Some(key), Some(keys)) => keys.contains(key),
            _ => true,
        }
    }

    /// The query's present answer; `None` where there is nothing.
    async fn answer(&self) -> Result<Option<Bytes>, Problem> {
        let request = Request::from_parts(self.parts.clone(), Body::empty());
        let response = as_problem(self.next.clone().run(request).await).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.map_err(|_| {
            let detail = format!("the answer has more than {ANSWER_BYTES_MAX} bytes");
            Problem::internal(ProblemKind::Failed, detail)
        })?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(body)),
            status => {
                let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
                let detail = told.as_ref().and_then(|told| told["detail"].as_str());
                let detail = detail.unwrap_or("the query cannot be answered").to_owned();
                Err(Problem::new(ProblemKind::Failed, status, detail))
            }
        }
    }
}

fn may_pass(problem: &Problem) -> bool {
    matches!(problem.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// What both have seen.
fn least_of(one: &Token, other: &Token) -> Token {
    let mut least = Token::new(one.incarnation());
    if one.incarnation() == other.incarnation() {
        for mark in one.marks() {
            let theirs = other.mark(mark.partition);
            least.see(if theirs.position < mark.position { theirs } else { mark });
        }
    }
    least
}

/// An answer as the data of an event, which knows no carriage returns; JSON has them only between values.
fn text(body: &Bytes) -> Result<String, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::internal(ProblemKind::Failed, "a live query answers with text"))?;
    Ok(text.replace('\r', " "))
}
