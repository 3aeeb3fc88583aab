//! `GET /openapi.json`: OpenAPI 3.1, written from the types of commands, replies, rejections and answers.
//!
//! It is made once, when the service is built. What the types do not say is not guessed: a state and the
//! body of an event are any JSON.

mod aggregates;
mod common;
mod events;
mod queries;

use crate::query::QueryDoc;
use bytes::Bytes;
use kronika_runtime::DynAggregates;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What is described.
pub(crate) struct Description<'a> {
    pub title: String,
    pub version: String,
    pub aggregates: &'a [Arc<dyn DynAggregates>],
    pub queries: Vec<QueryDoc>,
    pub journal: bool,
}

/// Paths, each with its operations.
type Paths = Map<String, Value>;

/// The whole description as JSON.
pub(crate) fn describe(description: &Description<'_>) -> Bytes {
    let mut schemas = generator();
    let mut paths = Paths::new();
    for aggregates in description.aggregates {
        aggregates::describe(&mut paths, &mut schemas, &**aggregates);
    }
    for query in &description.queries {
        queries::describe(&mut paths, &mut schemas, query);
    }
    if description.journal {
        events::describe(&mut paths);
    }
    let mut definitions = schemas.take_definitions(true);
    definitions.extend(common::schemas());
    let tags = description.aggregates.iter().map(|it| json!({"name": it.aggregate_type()}));
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": description.title, "version": description.version},
        "tags": tags.collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": definitions,
            "parameters": common::parameters(),
            "headers": common::headers(),
            "responses": common::responses(),
        },
    });
    Bytes::from(document.to_string())
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// Adds an operation to a path.
fn add(paths: &mut Paths, path: &str, method: &str, operation: Value) {
    let item = paths.entry(path).or_insert_with(|| json!({}));
    item[method] = operation;
}

fn component(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}
