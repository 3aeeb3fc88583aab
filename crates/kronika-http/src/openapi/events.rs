//! The journal as a list and as a live feed.

use super::{
    Paths, add,
    common::{events, refusals},
    component,
};
use serde_json::json;

pub(super) fn describe(paths: &mut Paths) {
    let mut responses = refusals();
    let found = json!({
        "description": "A page of events in the order of the journal, or a feed that does not end",
        "headers": {"Kronika-Position": component("headers", "Position")},
        "content": {
            "application/json": {"schema": events("string")},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    });
    responses.insert("200".to_owned(), found);
    let parameters = ["AfterToken", "Limit", "LastEventId", "Position", "Prefer"];
    let operation = json!({
        "operationId": "journal.events",
        "summary": "The whole journal",
        "parameters": parameters.map(|name| component("parameters", name)),
        "responses": responses,
    });
    add(paths, "/events", "get", operation);
}
