//! What an operator is told instead of an answer. Operators see the store's own words.

use crate::problem::{Problem, ProblemKind};
use axum::http::StatusCode;
use kronika_core::{ActError, StoreFault};
use std::fmt;

pub(super) fn no_projection(name: impl fmt::Display) -> Problem {
    Problem::not_found(format!("there is no projection {name}: the list of all names them"))
}

/// It cannot be done as things stand.
pub(super) fn refused(why: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Refused, StatusCode::CONFLICT, why)
}

pub(super) fn act_problem(error: ActError) -> Problem {
    match error {
        ActError::NotFound(what) => Problem::not_found(what),
        ActError::Refused(why) => refused(why),
        ActError::Store(fault) => store_problem(&fault),
        other => Problem::internal(ProblemKind::Failed, other.to_string()),
    }
}

pub(super) fn store_problem(fault: &StoreFault) -> Problem {
    tracing::warn!(%fault, "an operator could not be answered");
    match fault.may_pass() {
        true => Problem::unavailable(ProblemKind::Unavailable, fault.to_string()),
        false => Problem::internal(ProblemKind::Failed, fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_against_an_act_is_told_by_its_kind() {
        let check = |error: ActError, status: u16, name: &str| {
            let problem = act_problem(error);
            assert_eq!((problem.status().as_u16(), problem.kind().name()), (status, name));
            assert!(problem.to_json()["detail"].as_str().unwrap().contains("why"));
        };
        check(ActError::NotFound("why".into()), 404, "not-found");
        check(ActError::Refused("why".into()), 409, "refused");
        check(StoreFault::Unavailable("why".into()).into(), 503, "unavailable");
        check(StoreFault::Full("why".into()).into(), 503, "unavailable");
        check(StoreFault::Corrupt("why".into()).into(), 500, "failed");
    }
}
