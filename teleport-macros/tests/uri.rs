//! The naming rule against the shared vectors.
#![allow(
    dead_code,
    reason = "the rule's file is shared, and only parts of it are tested here"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use serde_json::Value;

#[path = "../src/uri.rs"]
mod uri;

use self::uri::{Underscores, join, to_uri_path};

fn cases(kind: &str) -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/uri.json");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let cases: Vec<Value> = all
        .into_iter()
        .filter(|case| case["kind"] == kind)
        .collect();
    assert!(!cases.is_empty(), "no cases of kind {kind}");
    cases
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[test]
fn names_map_as_in_the_vectors() {
    for case in cases("to_uri_path") {
        let name = case["input"].as_str().unwrap();
        assert_eq!(
            to_uri_path(name, Underscores::Split),
            case["expected"],
            "{case}"
        );
    }
}

#[test]
fn paths_join_as_in_the_vectors() {
    for case in cases("path_join") {
        assert_eq!(join(&texts(&case["parts"])), case["expected"], "{case}");
    }
}

#[test]
fn prefixes_and_names_join_as_in_the_vectors() {
    for case in cases("join") {
        let prefixes = texts(&case["prefixes"]);
        let registers = texts(&case["registers"]);
        let expected = texts(&case["expected"]);
        assert_eq!(registers.len(), expected.len(), "{case}");
        for (register, expected) in registers.into_iter().zip(expected) {
            // A method that is registered as a function goes by its own name.
            let names: Vec<&str> = match register.split_once(" as a function") {
                Some((method, _)) => method.rsplit('.').take(1).collect(),
                None => register.split('.').collect(),
            };
            let mapped: Vec<String> = names
                .iter()
                .map(|name| to_uri_path(name, Underscores::Split))
                .collect();
            let parts: Vec<&str> = std::iter::once("/")
                .chain(prefixes.iter().copied())
                .chain(mapped.iter().map(String::as_str))
                .collect();
            assert_eq!(join(&parts), expected, "{case}");
        }
    }
}
