//! Parameters in the path and behind the question mark, read strictly: one that is not understood is
//! refused, never guessed at. Names that a route does not know are left aside.

use crate::{
    limits::{LIST_DEFAULT, LIST_MAX},
    problem::{Problem, ProblemKind},
};
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, Uri, request::Parts},
};
use kronika_core::{Version, check_id};

/// The id in the path of an aggregate, decoded and checked.
pub(crate) struct AggregateIdInPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for AggregateIdInPath {
    type Rejection = Problem;

    /// By name, since a router may be nested under a path with parameters of its own.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refuse = |detail| Problem::new(ProblemKind::BadId, StatusCode::BAD_REQUEST, detail);
        let found = in_path(parts, state).await.ok_or_else(|| refuse("the id is not UTF-8"))?;
        let id = found.into_iter().rev().find(|(name, _)| name == "id").map(|(_, id)| id);
        let id = id.ok_or_else(|| refuse("the path has no id"))?;
        check_id(&id).map_err(|error| Problem::bad_id(&error))?;
        Ok(Self(id))
    }
}

/// All that the path names, decoded; `None` if it is not UTF-8.
pub(crate) async fn in_path<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Option<Vec<(String, String)>> {
    let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
    path.ok().map(|Path(found)| found)
}

/// What stands behind the question mark.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        let found = Query::try_from_uri(uri);
        let refuse = |_| Problem::bad_parameter("query", "what stands behind the ? cannot be read");
        found.map(|Query(pairs)| Self(pairs)).map_err(refuse)
    }

    /// The value of a parameter that may be given once.
    pub fn once(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => Ok(Some(value)),
            _ => Err(Problem::bad_parameter(name, format!("{name} is given more than once"))),
        }
    }

    /// How many items a list has at most: a greater number is cut, not refused.
    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.once("limit")? else { return Ok(LIST_DEFAULT) };
        let limit = number(text).map(|limit| usize::try_from(limit).unwrap_or(LIST_MAX));
        limit.filter(|limit| *limit > 0).map(|limit| limit.min(LIST_MAX)).ok_or_else(|| {
            Problem::bad_parameter(
                "limit",
                format!("limit is a number from 1; {LIST_MAX} at most are given"),
            )
        })
    }

    /// A version.
    pub fn version(&self, name: &str) -> Result<Option<Version>, Problem> {
        let Some(text) = self.once(name)? else { return Ok(None) };
        let refuse =
            || Problem::bad_parameter(name, format!("{name} is a version, a whole number"));
        number(text).map(|version| Some(Version::new(version))).ok_or_else(refuse)
    }
}

/// A whole number without a sign. One beyond what fits is taken for the greatest.
pub(crate) fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_cut_and_refused() {
        let check = |query: &str, expected: Option<usize>| {
            let uri: Uri = format!("/x?{query}").parse().unwrap();
            let limit = Parameters::of(&uri).and_then(|parameters| parameters.limit());
            assert_eq!(limit.ok(), expected, "{query}");
        };
        check("", Some(100));
        check("limit=1", Some(1));
        check("limit=1000", Some(1000));
        check("limit=1001", Some(1000));
        check("limit=99999999999999999999999999", Some(1000));
        check("limit=0", None);
        check("limit=", None);
        check("limit=-1", None);
        check("limit=%2B1", None);
        check("limit=ten", None);
        check("limit=1&limit=2", None);
    }
}
