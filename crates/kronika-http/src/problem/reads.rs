//! From what the journal says of a read to what a client is told.

use super::{Problem, ProblemKind, commands::journal_failed};
use kronika_core::ReadError;
use kronika_runtime::Standing;

/// `what` names what was read: a stream, or the journal.
pub(crate) fn read_problem(error: &ReadError, what: &str, standing: &Standing) -> Problem {
    match error {
        ReadError::Corrupt(place) => {
            tracing::error!(what, place, "the journal is damaged");
            Problem::internal(ProblemKind::NotLoadable, format!("{what} cannot be read: damaged"))
                .with("stream", what)
        }
        _ if matches!(standing, Standing::Failed(_)) => journal_failed(),
        ReadError::NoPartition(_) => {
            Problem::internal(ProblemKind::Failed, format!("{what} cannot be read"))
        }
        error => {
            tracing::warn!(what, %error, "the journal could not be read");
            Problem::unavailable(ProblemKind::Unavailable, "the journal cannot be read now")
        }
    }
}
