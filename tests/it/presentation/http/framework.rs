//! Routes and the API document: policies, responses, schemas, request ids, and the pages of the documentation.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;
use undercroft::presentation::http::routes;

use super::examples::{Operation, document, operations};
use crate::support::{Shop, ShopOptions, TestClient};

#[test]
fn every_operation_documents_its_policy_and_its_responses() {
    let document = document();
    let mut ids = BTreeSet::new();
    for Operation { method, path, described } in operations(&document) {
        let what = format!("{method} {path}: {described}");
        let security = described["security"].as_array().expect(&what);
        let admin = described["x-required-role"] == "admin";
        assert!(!(admin && security.is_empty()), "{what}");
        assert_eq!(path.starts_with("/admin/"), admin, "{what}");
        let id = described["operationId"].as_str().expect(&what);
        assert!(ids.insert(id.to_owned()), "two operations are {id}");
        assert_eq!(described["tags"].as_array().expect(&what).len(), 1, "{what}");
        assert!(described["summary"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
        let responses = described["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2') || status.starts_with('3')), "{what}");
        assert_eq!(responses["default"]["$ref"], "#/components/responses/UnexpectedProblem", "{what}");
    }
}

#[test]
fn the_document_is_openapi_3_1_and_its_references_exist() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect(reference);
        assert!(document.pointer(pointer).is_some(), "{reference} does not exist");
    }
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    for Operation { method, path, described } in operations(&document) {
        for scheme in described["security"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|schemes| schemes.as_object().unwrap().keys())
        {
            assert!(schemes.contains_key(scheme), "{method} {path}: {scheme}");
        }
        let named: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
        let documented: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, documented, "{method} {path}");
        let places: BTreeSet<_> = parameters
            .iter()
            .map(|parameter| [&parameter["in"], &parameter["name"]].map(ToString::to_string))
            .collect();
        assert_eq!(places.len(), parameters.len(), "{method} {path}: a parameter is there twice");
    }
}

#[test]
fn no_two_schemas_have_one_name() {
    let mut seen = BTreeMap::new();
    for routes in routes::each() {
        let components = routes.into_document().components.unwrap_or_default();
        for (name, schema) in components.schemas {
            let schema = serde_json::to_value(schema).unwrap();
            let first = seen.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(*first, schema, "two schemas are {name}");
        }
    }
    assert!(!seen.is_empty());
}

on_both_engines!(the_document_and_its_pages_are_served);
async fn the_document_and_its_pages_are_served(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest();
    let response = guest.get("/openapi.json").await;
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(response.expect(200), document());
    assert_eq!(guest.get("/docs").await.header("location"), "/docs/");
    let page = guest.get("/docs/").await;
    assert!(page.header("content-type").starts_with("text/html"), "{page}");
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let mut files = 0;
    for file in page.split(['"', '\'']).filter(|text| text.contains('.')) {
        assert!(!file.contains("//"), "{file} needs the network");
        assert_eq!(
            guest.get(&format!("/docs/{}", file.trim_start_matches("./"))).await.status,
            200,
            "{file}"
        );
        files += 1;
    }
    assert!(files >= 3, "{page}");
    let start = guest.get("/docs/swagger-initializer.js").await;
    let start = String::from_utf8_lossy(&start.body);
    assert!(start.contains("/openapi.json"), "{start}");
    assert!(start.contains(r#""validatorUrl": "none""#) && !start.contains("https:"), "{start}");
    assert_eq!(guest.get("/docs/no-such-file").await.problem(404), "route_not_found");
    assert_eq!(guest.get("/docs/%ff").await.problem(422), "validation");
}

on_both_engines!(the_document_and_its_viewer_have_entity_tags_of_their_own_and_are_not_sent_again);
async fn the_document_and_its_viewer_have_entity_tags_of_their_own_and_are_not_sent_again(shop: &Shop) {
    let guest = shop.server().await.guest();
    let accepting = guest.with("accept-encoding", "gzip");
    for path in ["/openapi.json", "/docs/", "/docs/swagger-ui-bundle.js"] {
        let whole = guest.get(path).await;
        let tag = whole.header("etag");
        // the middleware, which would compute one for each response, states no version
        assert!(tag.starts_with("\"0-"), "{path}: {tag}");
        let known = guest.with("if-none-match", tag).get(path).await;
        assert_eq!((known.status, known.header("etag"), known.body.len()), (304, tag, 0), "{path}");

        let (first, second) = (accepting.get(path).await, accepting.get(path).await);
        assert_eq!((first.status, first.header("etag")), (second.status, second.header("etag")), "{path}");
        assert_eq!(first.body, second.body, "{path}");
        if path != "/docs/" {
            assert_eq!(first.header("content-encoding"), "gzip", "{path}");
            assert!(first.body.len() < whole.body.len() / 2, "{path}");
            assert_eq!(first.header("etag"), format!("{}-gzip\"", tag.trim_end_matches('"')), "{path}");
        }
    }
    assert!(document()["paths"]["/openapi.json"]["get"]["responses"]["304"].is_object());
}

on_both_engines!(the_type_of_a_problem_leads_to_its_texts);
async fn the_type_of_a_problem_leads_to_its_texts(shop: &Shop) {
    let guest = shop.server().await.guest();
    let problem = guest.get("/v1/products?limit=0").await.json();
    assert_eq!(problem["type"], "/problems/validation");
    let page = guest.get(problem["type"].as_str().unwrap()).await.expect(200);
    assert_eq!((&page["code"], &page["title"]), (&problem["code"], &problem["title"]));
    assert_eq!(page["statuses"], serde_json::json!([422]));
    assert_eq!(page["faults"]["minimum"], "The value must be at least {minimum}.");

    let all = guest.get("/problems").await.expect(200);
    let all = all.as_array().unwrap();
    assert!(all.len() >= 70 && all.contains(&page), "{all:?}");
    assert_eq!(guest.get("/problems/none").await.problem(404), "route_not_found");
}

on_both_engines!(health_is_reported);
async fn health_is_reported(shop: &Shop) {
    let server = shop.server().await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.guest().get(path).await.expect(200)["status"], "ok");
    }
}

#[tokio::test]
async fn a_store_that_cannot_write_is_not_ready_and_still_reads() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let server = shop.server().await;
    let read_only =
        shop.database.write((), async |work, ()| work.execute("PRAGMA query_only = ON", &[]).await);
    read_only.await.unwrap();

    let response = server.guest().get("/health/ready").await;
    assert_eq!(response.problem(503), "not_ready");
    assert_eq!(response.json()["reason"], "read_only");
    assert_eq!(server.guest().get("/health/live").await.status, 200);
    assert_eq!(server.guest().get("/v1/products").await.status, 200);
}

on_both_engines!(unknown_routes_are_404_and_every_response_has_a_request_id);
async fn unknown_routes_are_404_and_every_response_has_a_request_id(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest();
    let response = guest.get("/no/such/route?secret=1").await;
    assert_eq!(response.problem(404), "route_not_found");
    let other = guest.get("/no/such/route").await;
    assert_eq!(response.header("x-request-id").len(), 36);
    assert_ne!(response.header("x-request-id"), other.header("x-request-id"));

    let response = guest.post("/health/live", Value::Null).await;
    assert_eq!(response.problem(405), "method_not_allowed");
    assert_eq!(response.header("allow"), "GET,HEAD");
    let response = guest.send(Method::OPTIONS, "/health/live", None).await;
    assert_eq!((response.status, response.header("allow")), (204, "GET,HEAD"));
    let (head, whole) =
        (guest.send(Method::HEAD, "/health/live", None).await, guest.get("/health/live").await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
}

on_both_engines!(no_route_has_the_method_trace);
async fn no_route_has_the_method_trace(shop: &Shop) {
    let guest = shop.server().await.guest().with("x-canary", "what was sent");
    for path in ["/health/live", "/v1/products", "/v1/me", "/admin/v1/users", "/docs/"] {
        let response = guest.send(Method::TRACE, path, None).await;
        assert_eq!(response.problem(405), "method_not_allowed", "{path}");
        assert!(!response.headers["allow"].to_str().unwrap().contains("TRACE"), "{path}");
        assert!(!String::from_utf8_lossy(&response.body).contains("what was sent"), "{path}");
    }
}

on_both_engines!(
    the_date_of_a_response_follows_a_clock_that_is_set_back,
    ShopOptions::at("2026-03-01T00:00:00Z")
);
async fn the_date_of_a_response_follows_a_clock_that_is_set_back(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest();
    let date = async || guest.get("/health/live").await.header("date").to_owned();
    assert_eq!(date().await, "Sun, 01 Mar 2026 00:00:00 GMT");
    shop.clock().set("2026-02-28T23:00:00Z".parse().unwrap());
    assert_eq!(date().await, "Sat, 28 Feb 2026 23:00:00 GMT");
}

on_both_engines!(responses_that_depend_on_the_principal_are_private);
async fn responses_that_depend_on_the_principal_are_private(shop: &Shop) {
    let server = shop.server().await;
    let (guest, ann) = (server.guest(), server.customer().await);
    for response in [
        ann.get("/v1/me").await,
        guest.get("/v1/me").await,
        guest.post("/v1/carts", serde_json::json!({})).await,
    ] {
        assert_eq!(response.header("cache-control"), "no-store");
        assert!(response.header("vary").contains("authorization, cookie"));
    }
    let public = "public, max-age=10, stale-while-revalidate=60";
    let list = guest.get("/v1/products").await;
    let known = guest.with("if-none-match", list.header("etag")).get("/v1/products").await;
    assert_eq!((known.status, known.header("etag")), (304, list.header("etag")));
    assert!(!known.headers.contains_key("content-length"), "its value would be that of the list");
    for (path, control) in [
        ("/v1/products", public),
        ("/v1/categories", public),
        ("/openapi.json", public),
        ("/docs/", public),
        ("/v1/products/none", "no-store"),
        ("/health/live", "no-store"),
        ("/none", "no-store"),
    ] {
        assert_eq!(guest.get(path).await.header("cache-control"), control, "{path}");
    }
}

on_both_engines!(only_products_may_have_large_bodies);
async fn only_products_may_have_large_bodies(shop: &Shop) {
    let server = shop.server().await;
    let json = |client: TestClient| client.with("content-type", "application/json");
    let (guest, admin) = (json(server.guest()), json(server.admin().await));
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(65_536));
    assert_eq!(guest.raw(Method::POST, "/v1/carts", long.clone()).await.problem(413), "body_too_large");
    assert_eq!(admin.raw(Method::POST, "/admin/v1/products", long).await.problem(422), "validation");
}
