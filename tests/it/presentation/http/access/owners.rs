//! The resources of the owner in the matrix, which strangers do not reach.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::callers::{Caller, Row};
use super::order_tokens::OrderTokens;
use super::{Expected, assert_expected, call, owned};
use crate::presentation::http::examples::Operation;
use crate::support::http::order_of;
use crate::support::{Shop, TestClient, TestServer};

/// The ids of the content of a product that the owner buys, and of the order.
pub(super) async fn bought_content(shop: &Shop, server: &TestServer, owner: &TestClient) -> (String, String) {
    let order = order_of(owner, shop.product().with("kind", "digital").create().await).await;
    let product = order["items"][0]["product_id"].as_str().unwrap();
    let path = format!("/admin/v1/files?name=song.json&product_id={product}");
    let file = server.admin().await.post(&path, json!("la la la")).await.expect(201);
    [file, order].map(|created| created["id"].as_str().unwrap().to_owned()).into()
}

/// What the owner reads of the own resources.
pub(super) async fn owners_reads(owner: &TestClient, resources: &[(&'static str, String)]) -> Vec<Value> {
    let mut read = Vec::new();
    for (kind, id) in resources {
        if ["notifications", "me/sessions", "me/api-keys"].contains(kind) {
            let list = owner.get(&format!("/v1/{kind}")).await.expect(200)["items"].clone();
            let item = list.as_array().unwrap().iter().find(|item| item["id"] == *id).unwrap().clone();
            read.push(json!([item["id"], item["read_at"]]));
        } else {
            read.push(owner.get(&format!("/v1/{kind}/{id}")).await.expect(200));
        }
    }
    for path in ["/v1/me", "/v1/me/preferences"] {
        read.push(owner.get(path).await.expect(200));
    }
    read
}

/// Lets the owner change the own resources by each kind of credentials: they are not hidden, as they are from
/// strangers, who got the codes in `hidden`. What ends a resource comes last, and what ends the session at the very
/// end. Returns the number of calls.
pub(super) async fn owners_writes(
    (rows, tokens): (&[Row], &OrderTokens),
    operations: &[Operation],
    resources: &[(&'static str, String)],
    (missing, hidden): (&str, &BTreeMap<String, Value>),
    document: &Value,
) -> usize {
    let unsafe_ones = operations.iter().filter(|operation| !operation.method.is_safe());
    let mut writes: Vec<_> =
        unsafe_ones.filter_map(|operation| Some((operation, owned(operation, resources)?))).collect();
    writes.sort_by_key(|(operation, _)| {
        let path = &operation.path;
        (path.contains("/me/sessions"), removes(operation) || path.ends_with("/checkout"))
    });
    let mut calls = 0;
    for (operation, id) in writes {
        let fill = |name: &str| if name == "id" { id.to_owned() } else { missing.to_owned() };
        let path = operation.path_to(document, fill);
        let of_strangers = hidden.get(&operation.to_string());
        let of_strangers =
            of_strangers.unwrap_or_else(|| panic!("{operation}: no stranger got 404, see `expects`"));
        let is_allowed = |row: &&Row| row.expects(operation, true) == Expected::Allowed;
        for row in rows.iter().filter(|row| row.caller == Caller::Owner).filter(is_allowed) {
            let what = format!("{operation} of the owner by {:?}", row.means);
            let (client, path) = tokens.add_to(row, operation, &path);
            let response = call(&client, operation, &path, document).await;
            assert_expected(&what, Expected::Allowed, &response);
            let code = if response.status >= 400 { response.json()["code"].clone() } else { Value::Null };
            assert_ne!(&code, of_strangers, "{what}: {response}");
            calls += 1;
            if removes(operation) {
                break;
            }
        }
    }
    calls
}

/// Whether an operation removes the resource that its path names.
fn removes(operation: &Operation) -> bool {
    operation.method == Method::DELETE && operation.path.ends_with("{id}")
}
