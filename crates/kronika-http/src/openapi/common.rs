//! What all operations have in common: parameters, headers, and a response for each kind of refusal.
//!
//! Names of schemas begin with `Kronika`, so that they meet no type of the application.

use super::component;
use crate::problem::ProblemKind;
use serde_json::{Map, Value, json};

const PROBLEM: &str = "KronikaProblem";
pub(super) const EVENT: &str = "KronikaEvent";

pub(super) fn schemas() -> Map<String, Value> {
    let kinds: Vec<_> =
        ProblemKind::ALL.iter().map(|kind| format!("/problems/{}", kind.name())).collect();
    let text = json!({"type": "string"});
    let number = json!({"type": "integer", "minimum": 0});
    let problem = json!({
        "type": "object",
        "description": "A refusal, as RFC 9457 draws it",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "examples": kinds},
            "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text,
            "pointer": {"type": "string", "format": "json-pointer"},
            "parameter": text,
            "rejection": true,
        },
    });
    let event = json!({
        "type": "object",
        "required":
            ["version", "position", "stream", "name", "schema", "time", "body", "metadata"],
        "properties": {
            "version": number,
            "position": number,
            "partition": number,
            "stream": text,
            "name": text,
            "schema": number,
            "time": {"type": "string", "format": "date-time"},
            "body": true,
            "metadata": {"type": "object", "additionalProperties": text},
        },
    });
    Map::from_iter([(PROBLEM.to_owned(), problem), (EVENT.to_owned(), event)])
}

/// A page of events; `next` is of the given type, or null at the end.
pub(super) fn events(next: &str) -> Value {
    json!({
        "type": "object",
        "required": ["events", "next"],
        "properties": {
            "events": {"type": "array", "items": component("schemas", EVENT)},
            "next": {"type": [next, "null"]},
        },
    })
}

pub(super) fn parameters() -> Value {
    let text = json!({"type": "string"});
    let header = |name: &str, description: &str, schema: &Value| json!({"name": name, "in": "header", "description": description, "schema": schema});
    let query = |name: &str, description: &str, schema: &Value| json!({"name": name, "in": "query", "description": description, "schema": schema});
    let whole = json!({"type": "integer", "minimum": 1});
    json!({
        "Id": {
            "name": "id", "in": "path", "required": true,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        },
        "IdempotencyKey": header(
            "Idempotency-Key",
            "Sent again with it, a command is recorded once",
            &json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}),
        ),
        "IfMatch": header("If-Match", "The ETag that the aggregate is expected to have", &text),
        "IfNoneMatch": header("If-None-Match", "`*`: the aggregate is expected to be new", &text),
        "Position": header("Kronika-Position", "The token of what the caller has seen", &text),
        "Prefer": header("Prefer", "`wait=SECONDS`: how long to wait for the token", &text),
        "LastEventId": header("Last-Event-ID", "Where a live feed goes on", &text),
        "Version": query("version", "The state as it was at this version", &whole),
        "AfterVersion": query("after", "`next` of the page before", &json!({"type": "integer"})),
        "AfterToken": query("after", "`next` of the page before", &text),
        "Limit": query("limit", "Items at most", &whole),
    })
}

pub(super) fn headers() -> Value {
    let header =
        |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": header("The aggregate's version, in quotes"),
        "Position": header("The token of what the caller has seen with this answer"),
        "Replayed": header("`true` where this is the receipt of an earlier sending"),
        "Location": header("The path of the new aggregate"),
        "RetryAfter": header("Seconds until it is worth trying again"),
    })
}

/// The refusals of the table, by status, under the names that [`refusals`] uses.
pub(super) fn responses() -> Value {
    let refusal = |description: &str| json!({"description": description, "content": problem()});
    let later = |description: &str| {
        let mut refusal = refusal(description);
        refusal["headers"] = json!({"Retry-After": component("headers", "RetryAfter")});
        refusal
    };
    json!({
        "TooManyRequests": later("Too much is waiting"),
        "ServiceUnavailable": later("Not now: nothing was recorded"),
        "BadRequest": refusal("An id, a parameter, a header or the body is not valid"),
        "NotFound": refusal("There is no such thing"),
        "Conflict": refusal("The token is of another history, or what is asked for is parked"),
        "PreconditionFailed": refusal("The aggregate has another version"),
        "ContentTooLarge": refusal("The body is too large"),
        "UnsupportedMediaType": refusal("The body is not said to be JSON"),
        "InternalServerError": refusal("A fault in the service or in the application"),
        "GatewayTimeout": refusal("It may have been recorded; the same idempotency key tells"),
    })
}

/// What any problem looks like.
pub(super) fn problem() -> Value {
    json!({"application/problem+json": {"schema": component("schemas", PROBLEM)}})
}

/// A problem with a typed rejection, one of the kinds of problem with that status.
pub(super) fn rejected(rejection: &Value) -> Value {
    let schema = json!({
        "allOf": [component("schemas", PROBLEM)],
        "properties": {"rejection": rejection},
    });
    json!({"application/problem+json": {"schema": schema}})
}

const READ: [(&str, &str); 6] = [
    ("400", "BadRequest"),
    ("404", "NotFound"),
    ("409", "Conflict"),
    ("429", "TooManyRequests"),
    ("500", "InternalServerError"),
    ("503", "ServiceUnavailable"),
];
const COMMAND: [(&str, &str); 4] = [
    ("412", "PreconditionFailed"),
    ("413", "ContentTooLarge"),
    ("415", "UnsupportedMediaType"),
    ("504", "GatewayTimeout"),
];

/// The refusals of every route.
pub(super) fn refusals() -> Map<String, Value> {
    let response = |(status, name): (&str, &str)| (status.to_owned(), component("responses", name));
    READ.into_iter().map(response).collect()
}

/// The refusals of a command, but for those that its rejection is told with.
pub(super) fn command_refusals() -> Map<String, Value> {
    let response = |(status, name): (&str, &str)| (status.to_owned(), component("responses", name));
    READ.into_iter().chain(COMMAND).map(response).collect()
}
