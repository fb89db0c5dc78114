//! Arbitrary bodies for every operation that has one: a success or a refusal, and never an internal error.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::contract::{assert_sound, resources_of};
use super::examples::{Operation, document, example, operations};
use crate::support::Shop;

/// The number of bodies that are sent on each engine.
const BODIES: usize = 400;

/// Any JSON, with numbers and texts at the limits of their types.
fn any_json() -> impl Strategy<Value = Value> {
    let numbers =
        [json!(0), json!(-1), json!(i64::MIN), json!(i64::MAX), json!(u64::MAX), json!(1.5), json!(1e300)];
    let texts = ["", "\0", "\u{feff}", "'; --", "EUR", "DE", "XX", "null", "1", "../..", "tok_ok", "sandbox"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(numbers.to_vec()),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "\\PC{500,2000}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let object = prop::collection::btree_map("[a-z_]{1,12}", inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            object.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A change of a valid body.
#[derive(Debug, Clone)]
enum Damage {
    /// The body is replaced.
    Whole(Value),
    /// A value inside the body is replaced.
    Part(Index, Value),
    /// A documented member is added.
    More(Index, Value),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => any_json().prop_map(Damage::Whole),
        3 => (any::<Index>(), any_json()).prop_map(|(part, value)| Damage::Part(part, value)),
        2 => (any::<Index>(), any_json()).prop_map(|(part, value)| Damage::More(part, value)),
    ]
}

fn damaged(mut body: Value, schema: &Value, damage: Damage) -> Value {
    match damage {
        Damage::Whole(value) => value,
        Damage::Part(which, value) => {
            let mut pointers = Vec::new();
            parts(&body, String::new(), &mut pointers);
            *body.pointer_mut(&pointers[which.index(pointers.len())]).unwrap() = value;
            body
        }
        Damage::More(which, value) => {
            let known: Vec<_> = schema["properties"].as_object().into_iter().flat_map(Map::keys).collect();
            if let (Some(members), false) = (body.as_object_mut(), known.is_empty()) {
                members.insert(known[which.index(known.len())].clone(), value);
            }
            body
        }
    }
}

/// The pointers to all parts of a value.
fn parts(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| parts(value, format!("{pointer}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| parts(value, format!("{pointer}/{i}"), found));
        }
        _ => {}
    }
    found.push(pointer);
}

on_both_engines!(no_body_causes_an_internal_error);
async fn no_body_causes_an_internal_error(shop: &Shop) {
    let server = shop.server().await;
    let document = document();
    let admin = server.admin().await;
    let resources = resources_of(server, &admin).await;
    let bodied: Vec<Operation> =
        operations(&document).into_iter().filter(|operation| operation.body().is_some()).collect();
    let strategy = (any::<Index>(), damage(), any::<bool>());
    let mut runner = TestRunner::default();
    let (mut done, mut refused) = (0, 0);
    for _ in 0..BODIES {
        let (which, damage, exists) = strategy.new_tree(&mut runner).unwrap().current();
        let operation = which.get(&bodied);
        let path = path(operation, &document, exists.then_some(&resources));
        let schema = operation.body().unwrap();
        let body = damaged(example(&document, schema), schema, damage);
        let response = admin.send(operation.method.clone(), &path, Some(body.clone())).await;
        assert!(response.status < 500, "{operation} with {body}: {response}");
        assert_sound(operation, &response);
        if response.status < 300 { done += 1 } else { refused += 1 }
    }
    assert!(done > 0 && refused > BODIES / 2, "{done} done, {refused} refused");
}

/// The path of an operation on an existing resource, if there is one of its kind, or on a missing one.
fn path(operation: &Operation, document: &Value, resources: Option<&Vec<(&'static str, String)>>) -> String {
    let kind = operation.path.trim_start_matches("/admin").split('/').nth(2).unwrap_or_default();
    let id = resources.and_then(|resources| resources.iter().find(|(resource, _)| *resource == kind));
    match id {
        Some((_, id)) => operation.path_with(|_| id.clone()),
        None => operation.path_to_missing(document),
    }
}
