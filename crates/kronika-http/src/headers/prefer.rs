//! `Prefer: wait=SECONDS` (RFC 7240): how long a reader waits for what its token names.

use crate::problem::Problem;
use axum::http::HeaderMap;
use std::time::Duration;

const PREFER: &str = "Prefer";
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long to wait, at most a minute. Other preferences are for others.
pub(crate) fn wait(headers: &HeaderMap) -> Result<Duration, Problem> {
    for value in headers.get_all(PREFER) {
        for preference in value.to_str().unwrap_or_default().split([',', ';']) {
            let (name, seconds) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("wait") {
                return parse(seconds.trim().trim_matches('"'));
            }
        }
    }
    Ok(WAIT_DEFAULT)
}

fn parse(seconds: &str) -> Result<Duration, Problem> {
    if seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::bad_parameter(PREFER, "Prefer takes wait=SECONDS, a whole number"));
    }
    // A number that no integer holds is more than the most.
    Ok(seconds.parse().map_or(WAIT_MAX, Duration::from_secs).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_bounded() {
        let check = |prefer: &str, expected: Option<u64>| {
            let headers =
                HeaderMap::from_iter([("prefer".parse().unwrap(), prefer.parse().unwrap())]);
            assert_eq!(wait(&headers).ok(), expected.map(Duration::from_secs), "{prefer}");
        };
        check("", Some(5));
        check("respond-async", Some(5));
        check("respond-async, wait=7", Some(7));
        check("Wait=\"0\"", Some(0));
        check("wait=600", Some(60));
        check("wait=99999999999999999999999", Some(60));
        check("wait=soon", None);
        check("wait=-1", None);
        check("wait", None);
    }
}
