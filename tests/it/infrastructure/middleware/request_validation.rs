//! Malformed requests are refused before any route reads them.

use std::collections::HashMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Extension};
use axum::routing::{get, post, put};
use http::{Method, Request, Version};
use serde_json::Value;
use undercroft::infrastructure::middleware::{
    BodyLimit, Chain, RequestValidationMiddleware, Unread, UnreadConditions,
};

use super::send_as_it_is;

fn router() -> Router {
    let limit = async |Extension(BodyLimit(limit)): Extension<BodyLimit>| limit.to_string();
    let conditions = UnreadConditions { if_match: true, if_none_match: true, if_unmodified_since: true };
    let version = UnreadConditions { if_match: false, ..conditions };
    let of = |path: &str, method, query, conditions| {
        (path.to_owned(), vec![(method, Unread { query, conditions, is_listed_by_handler: false })])
    };
    let unread = HashMap::from([
        of("/text", Method::POST, true, conditions),
        of("/version", Method::PUT, false, version),
        of("/read", Method::GET, false, conditions),
    ]);
    let request_validation = RequestValidationMiddleware { body_limit: BodyLimit(7), unread };
    let length = async |body: String| body.len().to_string();
    let routes = Router::new()
        .route("/", post(limit))
        .route("/text", post(length))
        .route("/version", put(async || "changed"))
        .route("/read", get(async || "read"))
        .route("/long-text", post(length).layer(DefaultBodyLimit::max(9)));
    Chain { request_validation, ..Chain::default() }.apply(routes)
}

async fn respond(version: Version, headers: &[(&'static str, &'static str)]) -> (u16, String) {
    let mut request = Request::post("/").version(version);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = send_as_it_is(&router(), request.body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_malformed_head_is_refused_with_its_reason() {
    let host = ("host", "shop.example");
    for (headers, code, header) in [
        (&[][..], "not_one_host", None),
        (&[host, host], "not_one_host", None),
        (&[("host", "shop example")], "malformed_header", Some("Host")),
        (&[("host", "a@shop.example")], "malformed_header", Some("Host")),
        (&[host, ("transfer-encoding", "gzip, chunked")], "malformed_header", Some("Transfer-Encoding")),
        (
            &[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            "malformed_header",
            Some("Transfer-Encoding"),
        ),
        (
            &[host, ("transfer-encoding", "chunked"), ("content-length", "2")],
            "malformed_header",
            Some("Content-Length"),
        ),
        (
            &[host, ("content-type", "application/json"), ("content-type", "text/plain")],
            "malformed_header",
            Some("Content-Type"),
        ),
    ] {
        let (status, body) = respond(Version::HTTP_11, headers).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &problem["code"]), (400, &code.into()), "{headers:?}");
        assert_eq!(problem["header"].as_str(), header, "{headers:?}");
    }
}

#[tokio::test]
async fn other_requests_reach_their_route_with_the_limit_of_bodies() {
    for (version, headers) in [
        (Version::HTTP_11, &[("host", "shop.example:8080"), ("transfer-encoding", "Chunked")][..]),
        (Version::HTTP_11, &[("host", "[::1]"), ("content-type", "application/json")]),
        (Version::HTTP_10, &[]),
    ] {
        assert_eq!(respond(version, headers).await, (200, "7".into()), "{headers:?}");
    }
}

#[tokio::test]
async fn extractors_of_axum_have_the_limit_of_bodies_where_a_route_sets_no_other() {
    for (path, length, status) in
        [("/text", 7, 200), ("/text", 8, 413), ("/long-text", 9, 200), ("/long-text", 10, 413)]
    {
        let request = Request::post(path).header("host", "shop.example");
        let response = send_as_it_is(&router(), request.body(Body::from("x".repeat(length))).unwrap()).await;
        assert_eq!(response.status(), status, "{path}, {length} bytes");
    }
}

#[tokio::test]
async fn parameters_of_the_query_that_a_route_does_not_read_are_refused() {
    let long = format!("/text?{}=1", "x".repeat(200));
    for (path, status, names) in [
        ("/text", 200, vec![]),
        ("/text?", 200, vec![]),
        ("/text?&", 200, vec![]),
        ("/text?b=1&a%20b&b=2&%ff=", 422, vec!["a b", "b", "\u{fffd}"]),
        (long.as_str(), 422, vec![&long[6..106]]),
        ("/long-text?a=1", 200, vec![]),
        ("/none?a=1", 404, vec![]),
    ] {
        let request = Request::post(path).header("host", "shop.example").body(Body::empty()).unwrap();
        let response = send_as_it_is(&router(), request).await;
        assert_eq!(response.status(), status, "{path}");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let errors = problem["errors"].as_array().into_iter().flatten();
        let unknown = errors.filter(|error| error["code"] == "unknown");
        let found: Vec<_> = unknown.map(|error| error["parameter"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{path}");
    }
}

#[tokio::test]
async fn all_that_a_route_does_not_read_is_listed_together() {
    let request = Request::post("/text?b=1&a=2").header("host", "shop.example");
    let request = request.header("if-match", "*").header("if-none-match", "*").body(Body::empty()).unwrap();
    let response = send_as_it_is(&router(), request).await;
    assert_eq!(response.status(), 422);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    let errors = problem["errors"].as_array().unwrap().iter();
    let location = |error: &Value| error.get("header").or(error.get("parameter")).unwrap().clone();
    let listed: Vec<_> = errors.map(|error| (location(error), error["code"].clone())).collect();
    let expected =
        [("If-Match", "malformed"), ("If-None-Match", "malformed"), ("a", "unknown"), ("b", "unknown")];
    assert_eq!(listed, expected.map(|(location, code)| (Value::from(location), Value::from(code))));
}

#[tokio::test]
async fn a_condition_that_a_route_does_not_compare_is_refused() {
    const TIME: &str = "Sat, 29 Oct 1994 19:43:31 GMT";
    let (version, none, time) = ("If-Match", "If-None-Match", "If-Unmodified-Since");
    for (method, path, headers, refused) in [
        ("POST", "/text", &[(version, "*")][..], Some(version)),
        ("POST", "/text", &[(version, "\"7-0\"")], Some(version)),
        ("POST", "/text", &[(version, "7")], Some(version)),
        ("POST", "/text", &[(none, "*")], Some(none)),
        ("POST", "/text", &[(none, "\"7-0\"")], Some(none)),
        ("POST", "/text", &[(time, TIME)], Some(time)),
        ("POST", "/text", &[(time, TIME), (version, "*")], Some(version)),
        ("PUT", "/version", &[(version, "*")], None),
        ("PUT", "/version", &[(none, "*")], Some(none)),
        ("PUT", "/version", &[(time, TIME)], Some(time)),
        // RFC 9110 section 13.1.4
        ("PUT", "/version", &[(time, TIME), (version, "*")], None),
        ("PUT", "/version", &[("If-Modified-Since", TIME)], None),
        ("GET", "/read", &[(version, "*"), (none, "\"7-0\""), (time, TIME)], None),
        ("HEAD", "/read", &[(time, TIME)], None),
        ("POST", "/long-text", &[(version, "*"), (none, "*"), (time, TIME)], None),
    ] {
        let mut request = Request::builder().method(method).uri(path).header("host", "shop.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = send_as_it_is(&router(), request.body(Body::empty()).unwrap()).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let expected = (if refused.is_some() { 400 } else { 200 }, refused);
        assert_eq!((status, problem["header"].as_str()), expected, "{method} {path} {headers:?}");
    }
}
