//! Partial updates: `null` is valid only for a member that can be removed.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use super::examples::{document, operations, resolve};
use crate::support::http::faults;
use crate::support::{Shop, TestClient};

/// The members that `null` removes.
const NULLABLE: [&str; 6] = ["ends_at", "minimum", "staff_role", "starts_at", "tax_class", "usage_limit"];

on_both_engines!(null_is_a_fault_of_a_member_that_cannot_be_removed);
async fn null_is_a_fault_of_a_member_that_cannot_be_removed(shop: &Shop) {
    let server = shop.server().await;
    let admin: TestClient = server.admin().await;
    let document = document();
    let mut nullable = BTreeSet::new();
    let mut refused = 0;
    for operation in operations(&document).iter().filter(|operation| operation.method == Method::PATCH) {
        let path = operation.path_to_missing(&document);
        let schema = resolve(&document, operation.body().unwrap());
        for name in schema["properties"].as_object().unwrap().keys() {
            let response = admin.patch(&path, json!({ name: null })).await;
            if NULLABLE.contains(&name.as_str()) {
                assert_ne!(response.status, 422, "{operation} {name}: {response}");
                nullable.insert(name.clone());
            } else {
                assert_eq!(response.problem(422), "validation", "{operation} {name}");
                let pointer = format!("/{name}");
                assert_eq!(response.faults(), faults([(pointer.as_str(), "type")]), "{operation} {name}");
                refused += 1;
            }
        }
    }

    assert_eq!(Vec::from_iter(nullable), NULLABLE);
    assert!(refused >= 11, "{refused} members refused");
}
