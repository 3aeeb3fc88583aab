//! The operations of one aggregate type: a path for each command, the state, the events.

use super::{
    Paths, add,
    common::{command_refusals, events, problem, refusals, rejected},
    component, generator,
};
use kronika_runtime::{CommandInfo, DynAggregates};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

pub(super) fn describe(
    paths: &mut Paths,
    schemas: &mut SchemaGenerator,
    aggregates: &dyn DynAggregates,
) {
    let name = aggregates.aggregate_type();
    for info in aggregates.commands() {
        let operation = command(schemas, name, &info, false);
        add(paths, &format!("/{name}/{{id}}/{}", info.name), "post", operation);
        if aggregates.creating() == Some(info.name) {
            add(paths, &format!("/{name}"), "post", command(schemas, name, &info, true));
        }
    }
    add(paths, &format!("/{name}/{{id}}"), "get", state(name));
    add(paths, &format!("/{name}/{{id}}/events"), "get", list(name));
}

fn command(
    schemas: &mut SchemaGenerator,
    aggregate: &str,
    info: &CommandInfo,
    creates: bool,
) -> Value {
    let body = (info.body)(schemas).to_value();
    let reply = (info.reply)(schemas).to_value();
    let rejection = may_reject(info).then(|| (info.rejection)(schemas).to_value());
    let mut parameters: Vec<_> = ["IdempotencyKey", "IfMatch", "IfNoneMatch", "Position", "Prefer"]
        .map(|name| component("parameters", name))
        .into();
    let mut headers = json!({
        "ETag": component("headers", "ETag"),
        "Kronika-Position": component("headers", "Position"),
        "Idempotent-Replayed": component("headers", "Replayed"),
    });
    let name = info.name;
    let (status, summary, operation) = if creates {
        headers["Location"] = component("headers", "Location");
        let summary = format!("{name}: a new {aggregate}, whose id the service makes");
        ("201", summary, format!("{aggregate}.create"))
    } else {
        parameters.insert(0, component("parameters", "Id"));
        ("200", name.to_owned(), format!("{aggregate}.{name}"))
    };
    let mut responses = command_refusals();
    let accepted = json!({
        "description": "Recorded, and durable",
        "headers": headers,
        "content": {"application/json": {"schema": reply}},
    });
    responses.insert(status.to_owned(), accepted);
    if let Some(rejection) = &rejection {
        let conflict = json!({
            "description": "Rejected as the state stands, or the token is of another history",
            "content": rejected(rejection),
        });
        responses.insert("409".to_owned(), conflict);
    }
    let invalid = json!({
        "description":
            "Rejected in itself, of the wrong shape, or with another command's idempotency key",
        "content": rejection.as_ref().map_or_else(problem, rejected),
    });
    responses.insert("422".to_owned(), invalid);
    json!({
        "tags": [aggregate],
        "operationId": operation,
        "summary": summary,
        "parameters": parameters,
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": responses,
    })
}

/// Whether the rejection's type has any value: that of a command that never refuses has none.
fn may_reject(info: &CommandInfo) -> bool {
    let mut schemas = generator();
    let schema = (info.rejection)(&mut schemas).to_value();
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let schema = name.and_then(|name| schemas.definitions().get(name)).unwrap_or(&schema);
    *schema != json!(false) && schema["not"] != json!({})
}

fn state(aggregate: &str) -> Value {
    let mut responses = refusals();
    let found = json!({
        "description": "The state, and its version",
        "headers": {
            "ETag": component("headers", "ETag"),
            "Kronika-Position": component("headers", "Position"),
        },
        "content": {"application/json": {"schema": true}},
    });
    responses.insert("200".to_owned(), found);
    responses.insert("304".to_owned(), json!({"description": "The version is known already"}));
    let parameters = ["Id", "Version", "Position", "Prefer"];
    json!({
        "tags": [aggregate],
        "operationId": format!("{aggregate}.get"),
        "summary": format!("The state of one {aggregate}, now or as it was at a version"),
        "parameters": parameters.map(|name| component("parameters", name)),
        "responses": responses,
    })
}

fn list(aggregate: &str) -> Value {
    let mut responses = refusals();
    let found = json!({
        "description": "A page of events, the oldest first",
        "headers": {"Kronika-Position": component("headers", "Position")},
        "content": {"application/json": {"schema": events("integer")}},
    });
    responses.insert("200".to_owned(), found);
    let parameters = ["Id", "AfterVersion", "Limit", "Position", "Prefer"];
    json!({
        "tags": [aggregate],
        "operationId": format!("{aggregate}.events"),
        "summary": format!("The events of one {aggregate}"),
        "parameters": parameters.map(|name| component("parameters", name)),
        "responses": responses,
    })
}
