//! A command's body, as far as it can be refused without knowing the command: kind, length, depth, JSON.
//!
//! What fits the command is for the runtime to say.

use crate::{limits::HttpLimits, problem::Problem};
use axum::{
    body::{Body, BodyDataStream},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, ORIGIN},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::IgnoredAny;
use std::time::Duration;
use tokio::time::timeout;

/// Of a body that is too large, so many times its limit are taken before it is refused, and so long.
const DISCARDED_LIMITS_MAX: usize = 8;
const DISCARDED_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads a command's body whole. None of it is kept, where the header tells already that it is too large.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &HttpLimits,
) -> Result<Bytes, Problem> {
    let has_type = has_json_type(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    let mut chunks = body.into_data_stream();
    if announced.is_some_and(|bytes| bytes > limits.body_bytes as u64) {
        discard(headers, chunks, limits).await;
        return Err(too_large(limits));
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::bad_body(StatusCode::BAD_REQUEST, "the body ended before it was complete")
        })?;
        if bytes.len() + chunk.len() > limits.body_bytes {
            discard(headers, chunks, limits).await;
            return Err(too_large(limits));
        }
        bytes.extend_from_slice(&chunk);
    }
    if !has_type && !bytes.is_empty() {
        return Err(wrong_type());
    }
    if std::str::from_utf8(&bytes).is_err() {
        return Err(Problem::bad_body(StatusCode::BAD_REQUEST, "the body is not UTF-8"));
    }
    let depth_max = limits.json_depth.min(crate::limits::JSON_DEPTH_MAX);
    if depth(&bytes) > depth_max {
        let detail = format!("the body is nested deeper than {depth_max} levels");
        return Err(Problem::bad_body(StatusCode::BAD_REQUEST, detail));
    }
    Ok(bytes.freeze())
}

/// Takes what a client still sends, and forgets it: one that is answered while it sends may find the
/// connection reset and never see the answer. One that asked before it sends is answered at once.
async fn discard(headers: &HeaderMap, mut chunks: BodyDataStream, limits: &HttpLimits) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let discarded = async {
        let mut left = limits.body_bytes.saturating_mul(DISCARDED_LIMITS_MAX);
        while let (1.., Some(Ok(chunk))) = (left, chunks.next().await) {
            left = left.saturating_sub(chunk.len());
        }
    };
    // Whatever is not there by then is cut off with the answer.
    let _ = timeout(DISCARDED_TIME_MAX, discarded).await;
}

/// Whether the body says that it is JSON. A page of another origin can make a browser post anything but
/// that without asking the server first; so nothing else is taken, and a request without a content type, as
/// one without a body may be, only where it does not come from a page.
fn has_json_type(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (None, _) if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") => {
            Err(wrong_type())
        }
        (None, _) => Ok(false),
        (Some(kind), None) if kind.to_str().is_ok_and(is_json_type) => Ok(true),
        _ => Err(wrong_type()),
    }
}

fn is_json_type(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((_, subtype)) = essence.split_once('/') else { return false };
    essence == "application/json" || (subtype.len() > 5 && subtype.ends_with("+json"))
}

fn wrong_type() -> Problem {
    let detail = "the content type of a command is application/json, or one that ends in +json";
    Problem::bad_body(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

fn too_large(limits: &HttpLimits) -> Problem {
    let detail = format!("the body is larger than {} bytes", limits.body_bytes);
    Problem::bad_body(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Levels of arrays and objects, without reading the values: what stands in texts does not count.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether the bytes are one JSON value.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_not_text() {
        let check = |json: &str, expected| assert_eq!(depth(json.as_bytes()), expected, "{json}");
        check("", 0);
        check("17", 0);
        check("{}", 1);
        check(r#"{"a":[{"b":[]}],"c":{}}"#, 4);
        check(r#"{"a":"[[[\"[[","b\\":[]}"#, 2);
        check("]]]]{", 1);
    }

    #[test]
    fn json_types_are_told_from_others() {
        let check = |kind, expected| assert_eq!(is_json_type(kind), expected, "{kind}");
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/vnd.auction+json", true);
        check("text/plain", false);
        check("application/json-seq", false);
        check("application/+json", false);
        check("+json", false);
        check("", false);
    }
}
