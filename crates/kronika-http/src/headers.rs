//! What a request says in its headers, each header in a file of its own. Nothing here answers anything.

mod expected;
mod idempotency;
mod position;
mod prefer;
mod trace;

pub(crate) use expected::{expected_version, is_known};
pub(crate) use idempotency::idempotency_key;
pub(crate) use position::{POSITION, check_history, position, position_value};
pub(crate) use prefer::wait;
pub(crate) use trace::origin;

use crate::problem::Problem;
use axum::http::HeaderMap;

/// The text of a header that may be given once.
fn once<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    let refuse = || Problem::bad_parameter(name, format!("{name} is given once, in visible ASCII"));
    value.map(Some).ok_or_else(refuse)
}
