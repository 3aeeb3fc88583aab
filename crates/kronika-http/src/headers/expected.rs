//! `If-Match` and `If-None-Match`: what a client expects of an aggregate's version.

use super::once;
use crate::problem::Problem;
use axum::http::HeaderMap;
use kronika_core::Version;
use kronika_runtime::ExpectedVersion;

const IF_MATCH: &str = "If-Match";
const IF_NONE_MATCH: &str = "If-None-Match";

/// What a command expects: `If-Match: "7"` that version, `If-Match: *` any event, `If-None-Match: *` none.
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<ExpectedVersion>, Problem> {
    let expected = match (once(headers, IF_MATCH)?, once(headers, IF_NONE_MATCH)?) {
        (None, None) => return Ok(None),
        (Some("*"), None) => ExpectedVersion::Existing,
        (Some(tag), None) => ExpectedVersion::Exactly(version(tag)?),
        (None, Some("*")) => ExpectedVersion::New,
        (None, Some(_)) => {
            let detail = "If-None-Match of a command is *: the aggregate has no events yet";
            return Err(Problem::bad_parameter(IF_NONE_MATCH, detail));
        }
        (Some(_), Some(_)) => {
            let detail = "If-Match and If-None-Match exclude each other";
            return Err(Problem::bad_parameter(IF_NONE_MATCH, detail));
        }
    };
    Ok(Some(expected))
}

/// Whether a reader has this version already, by `If-None-Match`, so that it need not be sent again.
pub(crate) fn is_known(headers: &HeaderMap, version: Version) -> bool {
    let tag = format!("\"{version}\"");
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).map(strong).any(|known| known == tag)
}

/// An intermediary that compresses an answer weakens its tag; a version is the same in any encoding.
fn strong(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn version(tag: &str) -> Result<Version, Problem> {
    let inner = strong(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let inner = inner.filter(|inner| !inner.contains('"')).ok_or_else(|| {
        let detail = "If-Match takes one ETag as it was given, with its quotes, or *";
        Problem::bad_parameter(IF_MATCH, detail)
    })?;
    // A well-formed tag that no version has is no mistake in form: it fits nothing.
    let number = inner.parse().ok().filter(|number: &u64| number.to_string() == inner);
    Ok(Version::new(number.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_versions() {
        let check = |if_match: Option<&'static str>, if_none: Option<&'static str>, expected| {
            let mut headers = HeaderMap::new();
            if_match.map(|tag| headers.insert("if-match", tag.parse().unwrap()));
            if_none.map(|tag| headers.insert("if-none-match", tag.parse().unwrap()));
            assert_eq!(expected_version(&headers).ok(), expected, "{if_match:?} {if_none:?}");
        };
        let exactly = |version| Some(Some(ExpectedVersion::Exactly(Version::new(version))));
        check(None, None, Some(None));
        check(Some("\"7\""), None, exactly(7));
        check(Some("W/\"7\""), None, exactly(7));
        check(Some("\"0\""), None, exactly(0));
        check(Some("\"07\""), None, exactly(u64::MAX));
        check(Some("\"x\""), None, exactly(u64::MAX));
        check(Some("*"), None, Some(Some(ExpectedVersion::Existing)));
        check(None, Some("*"), Some(Some(ExpectedVersion::New)));
        check(Some("7"), None, None);
        check(Some("\"7\", \"8\""), None, None);
        check(Some(""), None, None);
        check(None, Some("\"7\""), None);
        check(Some("*"), Some("*"), None);
    }

    #[test]
    fn a_reader_may_know_one_of_several() {
        let mut headers = HeaderMap::new();
        headers.insert("if-none-match", "\"6\", W/\"7\"".parse().unwrap());
        assert!(is_known(&headers, Version::new(7)));
        assert!(!is_known(&headers, Version::new(8)));
    }
}
