//! Rules for every operation of the API document: bodies, parameters, and resources that are missing.

use http::Method;
use serde_json::{Value, json};
use undercroft::domain::ids::VariantId;

use super::examples::{Operation, document, example, operations};

use crate::support::http::{faults, order_of};
use crate::support::{Shop, TestClient, TestResponse, TestServer, awaited};

/// The operations that accept any parameters of the query.
const WITH_ANY_QUERY: [&str; 5] = [
    "GET /.well-known/jwks.json",
    "GET /health/live",
    "GET /health/ready",
    "GET /openapi.json",
    "GET /v1/files/{id}",
];

/// A client of each role.
struct Clients {
    customer: TestClient,
    admin: TestClient,
    /// The id of an order of the customer.
    order: String,
}

impl Clients {
    async fn of(server: &TestServer) -> Self {
        let (customer, admin) = (server.customer().await, server.admin().await);
        let order = order_of(&customer, server.product().create().await).await;
        Self { customer, admin, order: order["id"].as_str().unwrap().to_owned() }
    }

    /// The path to a resource that does not exist, unless it is checked before the body is read.
    fn path(&self, operation: &Operation, document: &Value) -> String {
        if operation.path.starts_with("/v1/orders/{id}") {
            operation.path_to(document, |_| self.order.clone())
        } else {
            operation.path_to_missing(document)
        }
    }

    fn allowed(&self, operation: &Operation) -> &TestClient {
        if operation.is_for_administrators() { &self.admin } else { &self.customer }
    }
}

/// Asserts that a response is a success or a problem document, and no internal error.
#[track_caller]
pub fn assert_sound(operation: &Operation, response: &TestResponse) {
    assert!(response.status < 500, "{operation}: {response}");
    if response.status >= 400 {
        let code = response.problem(response.status);
        assert!(
            !["route_not_found", "method_not_allowed"].contains(&code.as_str()),
            "{operation}: {response}"
        );
    }
}

async fn call(client: &TestClient, operation: &Operation, path: &str, document: &Value) -> TestResponse {
    let body = operation.body().map(|schema| example(document, schema));
    client.send(operation.method.clone(), path, body).await
}

on_both_engines!(every_operation_responds_as_it_is_documented_if_its_resource_is_missing);
async fn every_operation_responds_as_it_is_documented_if_its_resource_is_missing(shop: &Shop) {
    let server = shop.server().await;
    let (clients, document) = (Clients::of(server).await, document());
    for operation in operations(&document) {
        let path = operation.path_to_missing(&document);
        // an operation that ends sessions gets a user of its own
        let ends = operation.method == Method::DELETE && operation.parameters("path").next().is_none();
        let own = if ends { Some(server.customer().await) } else { None };
        let client = own.as_ref().unwrap_or_else(|| clients.allowed(&operation));
        let response = call(client, &operation, &path, &document).await;
        assert_sound(&operation, &response);
        let documented = operation.described["responses"].as_object().unwrap();
        let is_documented = response.status >= 400 || documented.contains_key(&response.status.to_string());
        assert!(is_documented, "{operation}: {response} is not documented");
        assert!(!response.header("x-request-id").is_empty(), "{operation}");
    }
}

/// Asserts that the response to an operation lists these faults; returns false if its policy allows no request, since
/// the resource of its path is missing.
#[track_caller]
fn lists(operation: &Operation, response: &TestResponse, expected: &[(&str, &str)]) -> bool {
    if response.status == 404 {
        return false;
    }
    let found = response.faults();
    for &(location, code) in expected {
        let fault = (location.to_owned(), code.to_owned());
        assert!(found.contains(&fault), "{operation}: {location} is missing in {response}");
    }
    true
}

on_both_engines!(parameters_of_the_query_are_refused_by_operations_that_have_none);
async fn parameters_of_the_query_are_refused_by_operations_that_have_none(shop: &Shop) {
    let server = shop.server().await;
    let (clients, document) = (Clients::of(server).await, document());
    let (mut refusing, mut accepting) = (0, 0);
    for operation in operations(&document) {
        if operation.parameters("query").next().is_some() {
            continue;
        }
        let path = format!("{}?limit=5&a=1&limit=6", clients.path(&operation, &document));
        let response = clients.allowed(&operation).send(operation.method.clone(), &path, None).await;
        if WITH_ANY_QUERY.contains(&operation.to_string().as_str()) {
            assert!([200, 404].contains(&response.status), "{operation}: {response}");
            accepting += 1;
        } else {
            refusing += u32::from(lists(&operation, &response, &[("a", "unknown"), ("limit", "unknown")]));
        }
    }
    assert!(accepting == WITH_ANY_QUERY.len() && refusing > 50, "{accepting} and {refusing}");
}

on_both_engines!(a_condition_is_refused_by_operations_that_change_something_and_do_not_compare_it);
async fn a_condition_is_refused_by_operations_that_change_something_and_do_not_compare_it(shop: &Shop) {
    let server = shop.server().await;
    let (clients, document) = (Clients::of(server).await, document());
    let mut refusing = 0;
    let conditions =
        [("If-Match", "*"), ("If-None-Match", "*"), ("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT")];
    for operation in operations(&document).iter().filter(|operation| operation.method != Method::GET) {
        let path = clients.path(operation, &document);
        for (header, value) in conditions {
            if operation.parameters("header").any(|one| one["name"] == header) {
                continue;
            }
            let client = clients.allowed(operation).with(header, value);
            let refused = client.send(operation.method.clone(), &path, None).await;
            if refused.status == 400 {
                assert_eq!(refused.problem(400), "malformed_header", "{operation}: {header}");
                assert_eq!(refused.json()["header"], header, "{operation}");
                refusing += 1;
            } else {
                // a body is missing, too
                refusing += u32::from(lists(operation, &refused, &[(header, "malformed")]));
            }
        }
    }
    assert!(refusing > 90, "{refusing}");
    let read = clients.customer.with("if-match", "\"7-0\"").get("/v1/me").await;
    read.expect(200);
}

on_both_engines!(an_optional_body_may_be_omitted_and_is_not_null);
async fn an_optional_body_may_be_omitted_and_is_not_null(shop: &Shop) {
    let server = shop.server().await;
    let (clients, document) = (Clients::of(server).await, document());
    let mut optional = 0;
    for operation in operations(&document) {
        let Some(schema) = operation.body() else { continue };
        assert!(schema["$ref"].is_string(), "{operation}: {schema}");
        if operation.described["requestBody"]["required"] == true {
            continue;
        }
        let (client, path) = (clients.allowed(&operation), clients.path(&operation, &document));
        let method = || operation.method.clone();
        let faults = |response: &TestResponse| response.status == 422 || response.status == 415;
        assert!(!faults(&client.send(method(), &path, None).await), "{operation}");
        let typed = client.with("content-type", "application/json");
        assert_eq!(typed.raw(method(), &path, "null").await.problem(422), "validation", "{operation}");
        optional += 1;
    }
    assert_eq!(optional, 10);
}

on_both_engines!(a_body_that_is_missing_is_named_with_what_it_must_have);
async fn a_body_that_is_missing_is_named_with_what_it_must_have(shop: &Shop) {
    let server = shop.server().await;
    let user = server.customer().await;
    let log_in = user.send(Method::POST, "/v1/sessions", None).await;
    assert_eq!(log_in.faults(), faults([("/email", "required"), ("/password", "required")]));
    let erasure = user.send(Method::DELETE, "/v1/me", None).await;
    assert_eq!(erasure.faults(), faults([("", "required")]), "what it must have depends on the account");
    user.get("/v1/me").await.expect(200);
}

on_both_engines!(an_unreadable_body_is_refused_with_its_reason, on_one_thread);
async fn an_unreadable_body_is_refused_with_its_reason(shop: &Shop) {
    let server = shop.server().await;
    let (clients, document) = (Clients::of(server).await, document());
    let mut tried = 0;
    for operation in operations(&document).iter().filter(|operation| operation.body().is_some()) {
        let path = clients.path(operation, &document);
        let client = clients.allowed(operation);
        let typed = client.with("content-type", "application/json");
        let raw = async |client: &TestClient, body: &str| {
            client.raw(operation.method.clone(), &path, body.to_owned()).await
        };
        assert_eq!(raw(&typed, "{\"a\": 1,}").await.problem(400), "malformed_json", "{operation}");
        assert_eq!(raw(&typed, "{\"a\": 1, \"a\": 2}").await.problem(400), "malformed_json", "{operation}");
        let form = client.with("content-type", "application/x-www-form-urlencoded");
        assert_eq!(raw(&form, "a=1").await.problem(415), "unsupported_media_type", "{operation}");
        assert_eq!(raw(client, "{}").await.problem(415), "unsupported_media_type", "{operation}");
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(4 << 20));
        // The server does not read a long body and closes the connection, which must not be used again.
        let once = typed.with("connection", "close");
        assert_eq!(raw(&once, &long).await.problem(413), "body_too_large", "{operation}");
        assert_eq!(raw(&typed, "[]").await.problem(422), "validation", "{operation}");
        let mut unknown = example(&document, operation.body().unwrap());
        unknown["no_such_field"] = json!(1);
        let response = raw(&typed, &unknown.to_string()).await;
        assert_eq!(response.problem(422), "validation", "{operation}");
        let fault = json!({"pointer": "/no_such_field", "code": "unknown"});
        let faults = response.json()["errors"].as_array().unwrap().clone();
        let is_named =
            faults.iter().any(|named| named["pointer"] == fault["pointer"] && named["code"] == fault["code"]);
        assert!(is_named, "{operation}: {response}");
        tried += 1;
    }
    assert!(tried > 10, "only {tried} operations take a body");
}

/// The id of the product of a variant.
async fn product_id(server: &TestServer, variant: VariantId) -> String {
    let products = server.guest().get("/v1/products").await.expect(200);
    let has_variant = |product: &&Value| product["variants"][0]["id"] == variant.to_string();
    let product = products["items"].as_array().unwrap().iter().find(has_variant).unwrap();
    product["id"].as_str().unwrap().to_owned()
}

on_both_engines!(an_invalid_parameter_is_named);
async fn an_invalid_parameter_is_named(shop: &Shop) {
    let server = shop.server().await;
    let (clients, document) = (Clients::of(server).await, document());
    let product = product_id(server, shop.product().create().await).await;
    let (mut wrong_ids, mut wrong_pages) = (0, 0);
    for operation in operations(&document) {
        let client = clients.allowed(&operation);
        let ids: Vec<_> = operation
            .parameters("path")
            .filter(|parameter| parameter["schema"]["format"] == "uuid")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        for wrong in &ids {
            let path = operation.path_with(|name| match name {
                name if name == wrong => "17".to_owned(),
                _ => uuid::Uuid::from_u128(1).to_string(),
            });
            let response = call(client, &operation, &path, &document).await;
            assert_eq!(response.problem(422), "validation", "{operation}");
            assert_eq!(response.json()["errors"][0]["parameter"], *wrong, "{operation}");
            wrong_ids += 1;
        }
        for (name, value) in [("limit", "0"), ("limit", "101"), ("limit", "x"), ("cursor", "bm9wZQ")] {
            if !operation.has_query(name) {
                continue;
            }
            // a list of a product requires an existing one
            let path = format!("{}?{name}={value}", operation.path_with(|_| product.clone()));
            let response = call(client, &operation, &path, &document).await;
            assert_eq!(response.problem(422), "validation", "{operation} {name}={value}");
            assert_eq!(response.json()["errors"][0]["parameter"], name, "{operation}");
            wrong_pages += 1;
        }
    }
    let paged = operations(&document).iter().filter(|operation| operation.has_query("limit")).count();
    assert!(paged >= 12, "only {paged} operations have pages");
    assert_eq!(wrong_pages, 4 * paged, "every operation with pages has a limit and a cursor");
    assert!(wrong_ids > 30, "only {wrong_ids} ids in paths were tried");
}

/// A reference with a description, not a copy beside a type of its own.
#[test]
fn a_schema_that_is_all_of_several_has_one_type() {
    fn check(node: &Value, pointer: &str, found: &mut usize) {
        if let Some(parts) = node["allOf"].as_array() {
            *found += 1;
            for part in parts {
                let is_object = part["type"].is_null() || part["properties"].is_object();
                assert!(is_object, "{pointer}: {part}");
            }
        }
        match node {
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| check(member, &format!("{pointer}/{name}"), found));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, pointer, found)),
            _ => {}
        }
    }
    let mut found = 0;
    check(&document(), "", &mut found);
    assert!(found > 50, "only {found}");
}

/// Creates resources of a user; returns each with the part of the path that precedes its id.
pub async fn resources_of(server: &TestServer, owner: &TestClient) -> Vec<(&'static str, String)> {
    let bought = server.product().price(1_000).stock(10).create().await;
    let subscribed = server.product().price(1_000).stock(10).subscription().create().await;
    let make_cart = async || {
        let cart = owner.post("/v1/carts", json!({})).await.expect(201);
        let cart = cart["id"].as_str().unwrap().to_owned();
        for variant in [bought, subscribed] {
            owner.put(&format!("/v1/carts/{cart}/items/{variant}"), json!({"quantity": 1})).await.expect(200);
        }
        cart
    };
    let address =
        json!({"name": "Ann", "line1": "Markt 1", "city": "Bremen", "postal_code": "28195", "country": "DE"});
    let purchase =
        json!({"shipping_address": address, "payment": {"provider": "sandbox", "token": "tok_ok"}});
    let checkout = format!("/v1/carts/{}/checkout", make_cart().await);
    let order = owner.post(&checkout, purchase).await.expect(201);
    let subscription = owner.get("/v1/subscriptions").await.expect(200)["items"][0].clone();
    let newest = async || owner.get("/v1/notifications").await.expect(200)["items"].get(0).cloned();
    let notification = awaited("a notification", newest).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    vec![
        ("carts", make_cart().await),
        ("orders", text(&order["id"])),
        ("payments", text(&order["payment"]["id"])),
        ("subscriptions", text(&subscription["id"])),
        ("notifications", text(&notification["id"])),
    ]
}
