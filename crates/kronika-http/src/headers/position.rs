//! `Kronika-Position`: the token by which a caller reads its own writes and notices another history.

use super::once;
use crate::problem::{Problem, ProblemKind, read_problem};
use axum::http::{HeaderMap, HeaderValue};
use kronika_core::{DynJournal, HistoryDiverged, Mark, Position, ReadError, Token};
use kronika_runtime::Standing;
use tokio::time::{Instant, timeout_at};

/// The header's name, in the form that HTTP/2 and the `http` crate ask for.
pub(crate) const POSITION: &str = "kronika-position";

/// The token that a caller hands in.
pub(crate) fn position(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let Some(text) = once(headers, POSITION)? else { return Ok(None) };
    let refuse = |error| Problem::bad_parameter("Kronika-Position", format!("{error}"));
    text.parse().map(Some).map_err(refuse)
}

/// A token as a header value.
pub(crate) fn position_value(token: &Token) -> HeaderValue {
    HeaderValue::try_from(token.to_string()).expect("a token is of A-Z a-z 0-9 - . _ ~")
}

/// Sees to it that a token is of this journal's history, event by event, waiting until the journal has what
/// the token has seen.
pub(crate) async fn check_history(
    journal: &dyn DynJournal,
    token: &Token,
    until: Instant,
    standing: &Standing,
) -> Result<(), Problem> {
    if token.incarnation() != journal.incarnation() {
        let (ours, theirs) = (journal.incarnation(), token.incarnation());
        return Err(HistoryDiverged { ours, theirs }.into());
    }
    for mark in token.marks() {
        match timeout_at(until, event_at(journal, mark)).await {
            Ok(Ok(found)) if found.check == mark.check => {}
            Ok(Ok(_) | Err(ReadError::NoPartition(_))) => {
                let detail = format!("another event stands at position {}", mark.position);
                let status = axum::http::StatusCode::CONFLICT;
                return Err(Problem::new(ProblemKind::HistoryDiverged, status, detail));
            }
            Ok(Err(error)) => return Err(read_problem(&error, "the journal", standing)),
            Err(_) => {
                let detail = format!("the journal has no position {} yet", mark.position);
                return Err(Problem::unavailable(ProblemKind::NotYet, detail));
            }
        }
    }
    Ok(())
}

async fn event_at(journal: &dyn DynJournal, mark: Mark) -> Result<Mark, ReadError> {
    if let Some(found) = journal.mark_at(mark.partition, mark.position).await? {
        return Ok(found);
    }
    let before = Position::new(mark.position.get().saturating_sub(1));
    journal.wait_beyond(mark.partition, before).await?;
    let found = journal.mark_at(mark.partition, mark.position).await?;
    found.ok_or_else(|| {
        ReadError::Corrupt(format!("no event at position {}, below the head", mark.position))
    })
}
