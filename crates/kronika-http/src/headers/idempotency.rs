//! `Idempotency-Key`: a command sent again under its key is recorded once.

use super::once;
use crate::problem::Problem;
use axum::http::HeaderMap;
use kronika_runtime::is_idempotency_key;

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The key, where there is one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = once(headers, IDEMPOTENCY_KEY)? else { return Ok(None) };
    if !is_idempotency_key(key) {
        let detail = "an idempotency key is 1 to 255 visible ASCII characters";
        return Err(Problem::bad_parameter(IDEMPOTENCY_KEY, detail));
    }
    Ok(Some(key.to_owned()))
}
