//! The description against the code: nothing is left out, and nothing changes without being seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::describe;
use crate::http::code::Code;

fn document() -> Value {
    serde_json::to_value(describe()).unwrap()
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
            assert!(parameter["description"].is_string(), "{place} {parameter}");
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
