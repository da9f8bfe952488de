//! The description against the code: nothing is left out, and nothing changes without being seen.

mod reference;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Doors, describe};
use crate::http::code::Code;

fn document() -> Value {
    describe(Doors::Guarded)
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = ["get", "post", "put", "patch", "delete"];
    let mut found = Vec::new();
    for (path, item) in paths {
        for method in methods {
            let place = format!("{} {path}", method.to_uppercase());
            found.extend(item.get(method).map(|operation| (place, operation)));
        }
    }
    found
}

#[test]
fn it_is_about_this_program() {
    let info = &document()["info"];
    let about = serde_json::json!({
        "title": "Muster", "version": env!("CARGO_PKG_VERSION"),
        "license": {"name": "MIT OR Apache-2.0"}, "description": info["description"],
    });
    assert_eq!(info, &about, "and says nothing of the libraries it is made with");
}

#[test]
fn the_operations_are_these() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut told: Vec<_> = operations(&document)
        .into_iter()
        .map(|(place, operation)| format!("{place} {}", operation["operationId"].as_str().unwrap()))
        .collect();
    told.sort();
    let listed: Vec<_> = include_str!("operations.txt").lines().collect();
    assert_eq!(told, listed, "left: the routes; right: operations.txt");
    let names: BTreeSet<_> = told.iter().map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(names.len(), told.len(), "an operation's id is its own");
}

#[test]
fn every_code_is_told_by_an_operation_and_by_the_schema() {
    let document = document();
    let mut told = BTreeMap::new();
    for (place, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let examples = &response["content"]["application/problem+json"]["examples"];
            for (code, example) in examples.as_object().into_iter().flatten() {
                assert_eq!(example["value"]["status"].to_string(), *status, "{place} {code}");
                assert_eq!(example["value"]["code"], **code, "{place}");
                told.insert(code.clone(), place.clone());
            }
        }
    }
    let all: BTreeSet<_> = Code::ALL.iter().map(|code| code.facts().text.to_owned()).collect();
    assert_eq!(all.len(), Code::ALL.len(), "two codes have one text");
    // What a path answers to a method it does not take belongs to no operation.
    let mut told: BTreeSet<_> = told.into_keys().collect();
    assert!(told.insert("method_not_allowed".to_owned()));
    assert_eq!(told, all, "left: told by operations; right: known");
    let schema = document["components"]["schemas"]["Code"]["enum"].as_array().unwrap();
    let schema: BTreeSet<_> = schema.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    assert_eq!(schema, all);
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_explained() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (place, operation) in operations(&document) {
        assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{place}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let told = parameter["description"].is_string()
                || parameter["schema"]["description"].is_string();
            assert!(told, "{place} {parameter}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            let told = about["description"].is_string()
                || about["$ref"].is_string()
                || about["oneOf"].is_array();
            assert!(told, "{name}.{field} is not explained");
        }
    }
}

#[test]
fn a_token_is_asked_for_where_the_doors_are_guarded() {
    let guarded = document();
    assert_eq!(guarded["security"], serde_json::json!([{"bearer": []}]));
    for (place, operation) in operations(&guarded) {
        let open = place.ends_with("/healthz") || place.ends_with("/readyz");
        assert_eq!(operation["security"].is_array(), open, "{place}");
    }
    assert_eq!(describe(Doors::Open)["security"], Value::Null);
}

#[test]
fn numbers_have_no_sign_unless_they_say_so_and_a_strategy_has_its_own_fields() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let seed = &schemas["Plan"]["properties"]["seed"];
    assert_eq!((&seed["format"], &seed["minimum"]), (&"uint64".into(), &0.into()));
    let turns = &schemas["Node"]["properties"]["turns"];
    assert_eq!((&turns["format"], &turns["maximum"]), (&"uint32".into(), &u32::MAX.into()));
    let strategies = schemas["Strategy"]["oneOf"].as_array().unwrap();
    assert_eq!(strategies.len(), 6);
    assert!(strategies.iter().all(|strategy| strategy["additionalProperties"] == false));
}

#[test]
fn answers_tell_of_their_headers() {
    for (place, operation) in operations(&document()) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{place} {status}");
        }
        let json = operation["responses"]["200"]["content"]["application/json"].is_object();
        if json && place.starts_with("GET") {
            assert!(operation["responses"]["200"]["headers"]["ETag"].is_object(), "{place}");
            assert!(operation["responses"]["304"].is_object(), "{place}");
        }
    }
}
