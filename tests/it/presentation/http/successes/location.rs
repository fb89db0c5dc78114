//! Each response with the status 201 names the new resource.

use super::super::examples::{Operation, document, operations};
use crate::support::{TestClient, TestResponse};

/// The operations that create something without a URL of its own: the response is all that is read of it.
const WITHOUT_URL: [&str; 2] = ["POST /v1/me/totp", "POST /v1/sessions"];

/// The fault of a response with the status 201: it has no `Location`, or nothing is read there.
pub(super) async fn fault_of(
    operation: &Operation,
    client: &TestClient,
    response: &TestResponse,
) -> Option<String> {
    if response.status != 201 || WITHOUT_URL.contains(&operation.to_string().as_str()) {
        return None;
    }
    let location = response.header("location");
    if location.is_empty() {
        return Some(format!("{operation}: no Location"));
    }
    let read = client.get(location).await;
    (read.status != 200).then(|| format!("{operation}: {read}"))
}

#[test]
fn what_is_created_has_a_documented_location_unless_it_has_no_url() {
    let mut without = Vec::new();
    for operation in operations(&document()) {
        let created = &operation.described["responses"]["201"];
        if !created.is_null() && created["headers"]["Location"].is_null() {
            without.push(operation.to_string());
        }
    }
    assert_eq!(without, WITHOUT_URL);
}
