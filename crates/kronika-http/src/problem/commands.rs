//! From what the runtime says of a command to what a client is told. One arm for each row of the table.

use super::{Problem, ProblemKind, SOON};
use axum::http::StatusCode;
use kronika_core::{CodecError, RejectionKind, Version};
use kronika_runtime::{CommandError, EncodedRejection, Failure, Standing};
use serde_json::Value;
use std::error::Error;

/// `body` is what was received, to tell a wrong shape from no JSON at all.
pub(crate) fn command_problem(
    error: CommandError<EncodedRejection>,
    body: &[u8],
    standing: &Standing,
) -> Problem {
    let failure: Failure = match error {
        CommandError::Rejected(rejection) => return rejected(&rejection),
        other => other.map(|_| unreachable!("a rejection was told above")),
    };
    let detail = failure.to_string();
    match failure {
        CommandError::VersionConflict { newest } => {
            let status = StatusCode::PRECONDITION_FAILED;
            Problem::new(ProblemKind::VersionConflict, status, detail).newest(newest)
        }
        CommandError::KeyReused => {
            Problem::new(ProblemKind::KeyReused, StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        CommandError::BadKey => Problem::bad_parameter("Idempotency-Key", detail),
        CommandError::BadId(_) | CommandError::UnfitId { .. } => {
            Problem::new(ProblemKind::BadId, StatusCode::BAD_REQUEST, detail)
        }
        CommandError::Overloaded { what, retry_after } => Problem::overloaded(what, retry_after),
        CommandError::DeadlinePassed => Problem::unavailable(ProblemKind::Deadline, detail),
        CommandError::UnknownOutcome => {
            let kind = match standing {
                Standing::Failed(_) => ProblemKind::JournalFailed,
                _ => ProblemKind::UnknownOutcome,
            };
            Problem::new(kind, StatusCode::GATEWAY_TIMEOUT, detail)
        }
        CommandError::NotOwner | CommandError::Stopping => {
            Problem::unavailable(ProblemKind::Unavailable, detail)
        }
        CommandError::Unavailable(why) => {
            tracing::warn!(why, "a command could not be served");
            Problem::unavailable(ProblemKind::Unavailable, "the journal cannot be used now")
        }
        CommandError::JournalFailed(_) => journal_failed(),
        CommandError::NotLoadable { stream, version, reason } => {
            tracing::error!(stream, %version, reason, "an aggregate cannot be loaded");
            not_loadable(&stream, version)
        }
        CommandError::Panicked { command, message } => {
            tracing::error!(command, message, "the code of an aggregate panicked");
            let detail = format!("the code of the aggregate panicked on {command}");
            Problem::internal(ProblemKind::Panicked, detail).with("command", command)
        }
        CommandError::TooLarge(_) => {
            Problem::new(ProblemKind::TooLarge, StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        CommandError::UnknownCommand { .. } => Problem::not_found(detail),
        CommandError::BadBody(error) => bad_body(&error, body),
        CommandError::UnreadableReply(error) => {
            tracing::error!(%error, "a recorded reply cannot be read");
            Problem::internal(ProblemKind::UnreadableReply, detail)
        }
        _ => {
            tracing::error!(detail, "a command failed in a way that has no problem of its own");
            Problem::internal(ProblemKind::Failed, "the command failed")
        }
    }
}

/// An event is too new or damaged, or `apply` panics: why is for the log, where it is told with care.
pub(crate) fn not_loadable(stream: &str, version: Version) -> Problem {
    let detail = format!("{stream} cannot be loaded at version {version}");
    Problem::internal(ProblemKind::NotLoadable, detail)
        .with("stream", stream)
        .with("version", version.get())
}

/// New commands, and reads that wait for the journal, after a failed sync.
pub(crate) fn journal_failed() -> Problem {
    let detail =
        "the journal has failed; nothing is acknowledged until the service is started anew";
    Problem::unavailable(ProblemKind::JournalFailed, detail).retry_after(SOON * 5)
}

fn rejected(rejection: &EncodedRejection) -> Problem {
    let status = match rejection.kind {
        RejectionKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    let typed: Value = serde_json::from_slice(&rejection.json)
        .unwrap_or_else(|_| Value::String(rejection.message.clone()));
    Problem::new(ProblemKind::Rejected, status, rejection.message.clone()).with("rejection", typed)
}

/// No JSON is 400; JSON that does not fit is 422 with the place.
fn bad_body(error: &CodecError, body: &[u8]) -> Problem {
    match error {
        CodecError::Shape { pointer, source } if body.is_empty() || crate::body::is_json(body) => {
            Problem::bad_body(StatusCode::UNPROCESSABLE_ENTITY, plain(source.as_ref()))
                .with("pointer", pointer.clone())
        }
        _ => Problem::bad_body(StatusCode::BAD_REQUEST, "the body is not JSON"),
    }
}

/// serde_json says at which line and column of a text, which the pointer says better.
fn plain(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
