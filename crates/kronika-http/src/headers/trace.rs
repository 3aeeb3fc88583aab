//! Who sends a command. Authentication is the application's: its layer puts an [`Origin`] into the request's
//! extensions; nothing that a client writes of itself is taken for its name.

use axum::http::{Extensions, HeaderMap};
use kronika_core::Origin;

/// What the application's layer said, and the W3C trace context where that said none.
pub(crate) fn origin(extensions: &Extensions, headers: &HeaderMap) -> Origin {
    let mut origin = extensions.get::<Origin>().cloned().unwrap_or_default();
    if origin.trace.is_none() {
        let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
        origin.trace = trace.filter(|trace| is_traceparent(trace)).map(str::to_owned);
    }
    origin
}

/// `00-<32 digits>-<16 digits>-<2 digits>`, hexadecimal in lower case. Others are left aside.
fn is_traceparent(trace: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<_> = trace.split('-').collect();
    trace.len() == 55
        && parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.into_iter().all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_contexts_are_checked() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        assert!(!is_traceparent(&good.to_uppercase()));
        assert!(!is_traceparent(&good[1..]));
        assert!(!is_traceparent(""));
    }
}
