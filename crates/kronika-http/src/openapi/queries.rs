//! The application's queries, as far as it said something of them.

use super::{Paths, add, common::refusals, component};
use crate::query::QueryDoc;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

pub(super) fn describe(paths: &mut Paths, schemas: &mut SchemaGenerator, query: &QueryDoc) {
    let mut parameters: Vec<Value> = names_in(&query.path)
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    for parameter in &query.parameters {
        let (name, description) = (&parameter.name, &parameter.description);
        let schema = (parameter.schema)(schemas);
        let described =
            json!({"name": name, "in": "query", "description": description, "schema": schema});
        parameters.push(described);
    }
    if query.waits {
        parameters.extend(["Position", "Prefer"].map(|name| component("parameters", name)));
    }
    if query.is_live {
        parameters.push(component("parameters", "LastEventId"));
    }
    let schema = query.answer.map_or(json!(true), |make| make(schemas).to_value());
    let mut responses = refusals();
    let mut content = json!({"application/json": {"schema": schema}});
    if query.is_live {
        content["text/event-stream"] = json!({"schema": {"type": "string"}});
    }
    let answer = json!({"description": "The answer", "content": content});
    responses.insert("200".to_owned(), answer);
    let operation = json!({
        "tags": ["queries"],
        "operationId": format!("query.{}", query.path.trim_matches('/')),
        "summary": query.summary,
        "parameters": parameters,
        "responses": responses,
    });
    add(paths, &query.path.replace("{*", "{"), "get", operation);
}

/// The parameters in a path.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    let inside = |part| -> Option<&str> { str::split_once(part, '}').map(|(name, _)| name) };
    path.split('{').skip(1).filter_map(inside).map(|name| name.trim_start_matches('*'))
}
