//! Bodies that name resources of the owner.

use serde_json::{Value, json};

use super::callers::{Caller, Means, Row};
use super::{Expected, example};
use crate::presentation::http::examples::{Operation, resolve};
use crate::support::http::new_cart;

/// Members that no body has, for the id of the owner.
const UNKNOWN: [&str; 3] = ["user_id", "owner_id", "customer_id"];

/// Lets a guest, another customer and an administrator send the owner's ids in all members of bodies that are ids, and
/// in some that no body has, which are refused. Only the administrator may see any of the others in a response. Returns
/// the number of calls.
pub(super) async fn name_the_owners_in_bodies(
    rows: &[Row],
    operations: &[Operation],
    (marks, missing): (&[&str], &str),
    document: &Value,
) -> usize {
    let mut calls = 0;
    let is_stranger = |row: &&Row| {
        let callers = [Caller::OtherCustomer, Caller::Administrator];
        callers.contains(&row.caller) && row.means == Means::Bearer
            || row.caller == Caller::Guest && row.means == Means::Cookie
    };
    let ids: Vec<_> = marks.iter().copied().filter(|mark| !mark.contains('@')).collect();
    let account = ids.last().copied().unwrap();
    let changes = operations.iter().filter(|operation| !operation.method.is_safe());
    for (operation, schema) in changes.filter_map(|operation| Some((operation, operation.body()?))) {
        let named = ids.iter().filter_map(|&id| Some((id, naming(document, schema, id)?, true)));
        let unknown = UNKNOWN.map(|name| (account, unknown(document, schema, (name, account)), false));
        let bodies: Vec<_> = named.chain(unknown).collect();
        let is_allowed = |row: &&Row| row.expects(operation, false) == Expected::Allowed;
        for row in rows.iter().filter(is_stranger).filter(is_allowed) {
            let path = path_of(row, operation, missing, document).await;
            for (id, body, is_known) in &bodies {
                let what = format!("{operation} by {:?} with {body}", row.caller);
                let response = row.client.send(operation.method.clone(), &path, Some(body.clone())).await;
                let is_refused = (400..500).contains(&response.status);
                assert!(is_refused || *is_known && response.status < 300, "{what}: {response}");
                let text = String::from_utf8_lossy(&response.body);
                let seen = marks.iter().find(|mark| *mark != id && text.contains(**mark));
                assert!(
                    row.caller == Caller::Administrator || seen.is_none(),
                    "{what} shows {seen:?}: {text}"
                );
                calls += 1;
            }
        }
    }
    calls
}

/// The path of an operation to a resource that does not exist; to a new cart of the caller, if it is about a cart, so
/// that the request fails only by what its body names.
async fn path_of(row: &Row, operation: &Operation, missing: &str, document: &Value) -> String {
    let is_of_cart = operation.path.starts_with("/v1/carts/{id}");
    let cart = if is_of_cart { new_cart(&row.client).await } else { String::new() };
    let own = cart.strip_prefix("/v1/carts/").unwrap_or(missing);
    operation.path_to(document, |name| {
        let id = if name == "id" { own } else { missing };
        id.to_owned()
    })
}

/// The example of a body with a member that its schema does not have.
fn unknown(document: &Value, schema: &Value, (name, id): (&str, &str)) -> Value {
    let mut body = example(document, schema);
    body[name] = json!(id);
    body
}

/// The example of a body, in which all members that are ids are this one; `None` if it has no such member.
fn naming(document: &Value, schema: &Value, id: &str) -> Option<Value> {
    let schema = resolve(document, schema);
    let kinds = ["oneOf", "anyOf", "allOf"];
    let mut choices = kinds.into_iter().filter_map(|kind| schema[kind].as_array()).flatten();
    if let Some(named) = choices.find_map(|choice| naming(document, choice, id)) {
        return Some(named);
    }
    if let Some(named) = schema.get("items").and_then(|items| naming(document, items, id)) {
        return Some(json!([named]));
    }
    let mut body = None;
    for (name, member) in schema["properties"].as_object()? {
        let named = if name.ends_with("_id") { Some(json!(id)) } else { naming(document, member, id) };
        if let Some(named) = named {
            body.get_or_insert_with(|| example(document, schema))[name] = named;
        }
    }
    body
}
