//! `/openapi.json`: by its structure, and by what it says of the account.

use crate::support::Fixture;
use axum::{Json, http::StatusCode};
use kronika_http::Query;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Serialize, JsonSchema)]
struct Row {
    owner: String,
    cents: i64,
}

async fn rows() -> Json<Vec<Row>> {
    Json(vec![Row { owner: "ann".into(), cents: 1 }])
}

async fn description() -> Value {
    let balances = Query::get("/balances/{owner}", rows)
        .summary("Balances of an owner")
        .parameter::<Option<u32>>("min", "Cents at least")
        .answers::<Vec<Row>>();
    let service = Fixture::with(|service| {
        service.title("Bank", "1.2").query(balances).query(Query::get("/plain", rows))
    });
    let answer = service.await.get("/openapi.json").await.is(StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|field| walk(field, visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = description().await;
    let mut count = 0;
    walk(&document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("all references are local");
            assert!(document.pointer(pointer).is_some(), "{reference}");
            count += 1;
        }
    });
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn every_operation_is_whole() {
    let document = description().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"], json!({"title": "Bank", "version": "1.2"}));
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{path}");
            let resolved = operation["parameters"].as_array().unwrap().iter().map(|parameter| {
                let reference = parameter.get("$ref").and_then(Value::as_str);
                reference.map_or(parameter, |it| document.pointer(&it[1..]).unwrap())
            });
            let named: BTreeSet<_> = resolved
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| {
                    assert_eq!(parameter["required"], true);
                    parameter["name"].as_str().unwrap().to_owned()
                })
                .collect();
            let in_path = path.split('{').skip(1).map(|it| it.split('}').next().unwrap());
            assert_eq!(named, in_path.map(str::to_owned).collect(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_command_is_described_by_its_types() {
    let document = description().await;
    let deposit = &document["paths"]["/account/{id}/deposit"]["post"];
    let body = &deposit["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(*body, json!({"$ref": "#/components/schemas/Deposit"}));
    let schema = &document["components"]["schemas"]["Deposit"];
    assert_eq!(schema["properties"]["cents"]["minimum"], 0);
    let reply = &deposit["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(reply["type"], "integer");
    for status in ["409", "422"] {
        let content = &deposit["responses"][status]["content"]["application/problem+json"];
        let rejection = &content["schema"]["properties"]["rejection"];
        assert_eq!(*rejection, json!({"$ref": "#/components/schemas/Refused"}), "{status}");
    }
    let create = &document["paths"]["/account"]["post"];
    assert!(create["responses"]["201"]["headers"]["Location"].is_object());
    let touch = &document["paths"]["/account/{id}/touch"]["post"]["responses"];
    assert!(
        !touch.to_string().contains("Never"),
        "{touch} {}",
        document["components"]["schemas"]["Never"]
    );
}

#[tokio::test]
async fn a_query_is_described_by_what_it_said() {
    let document = description().await;
    let balances = &document["paths"]["/balances/{owner}"]["get"];
    assert_eq!(balances["summary"], "Balances of an owner");
    assert_eq!(balances["parameters"][1]["name"], "min");
    let answer = &balances["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(answer["items"], json!({"$ref": "#/components/schemas/Row"}));
    assert!(document["paths"]["/plain"]["get"].is_object());
}
