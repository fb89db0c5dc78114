//! HTTP caching: who may store a response, its entity tag, and conditional requests.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{HeaderMap, Method, Request, StatusCode};
use undercroft::domain::context::Context;
use undercroft::infrastructure::middleware::{
    CacheMiddleware, Chain, PublicResponse, RateLimiter, RateLimitingMiddleware,
};

use super::{send, text};

const SHARED: axum::Extension<PublicResponse> = axum::Extension(PublicResponse);
const PUBLIC: &str = "public, max-age=30, stale-while-revalidate=600";
const PRIVATE: &str = "no-store";

fn router(stale: u64) -> Router {
    let routes = Router::new()
        .route("/list", get(async || (SHARED, "[1, 2]")).post(async || (SHARED, "created")))
        .route("/other", get(async || (SHARED, "[1, 3]")))
        .route(
            "/product",
            get(async || (SHARED, [("etag", "\"7\""), ("vary", "accept-language")], "a product")),
        )
        .route("/weak", get(async || (SHARED, [("etag", "W/\"7\"")], "a product")))
        .route("/gone", get(async || (StatusCode::GONE, SHARED, "gone")))
        .route("/own", get(async || (SHARED, [("cache-control", "no-cache")], "mine")))
        .route("/order", get(async || ([("etag", "\"7\"")], "an order")))
        .route("/plain", get(async || "secret"));
    let stale_while_revalidate = Duration::from_secs(stale);
    let cache = CacheMiddleware { max_age: Duration::from_secs(30), stale_while_revalidate };
    let rate_limiting = Some(RateLimitingMiddleware {
        limiter: RateLimiter::in_process(Context::system().clock),
        general: Some("100/hour".parse().unwrap()),
        user: None,
        named: BTreeMap::new(),
        classes: HashMap::new(),
    });
    Chain { cache, rate_limiting, ..Chain::default() }.apply(routes)
}

async fn read(method: Method, path: &str, condition: &str) -> (u16, HeaderMap, usize) {
    let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 50_000)));
    let request = Request::builder().method(method).uri(path).extension(peer);
    let mut request = request.body(Body::empty()).unwrap();
    if !condition.is_empty() {
        request.headers_mut().insert("if-none-match", condition.parse().unwrap());
    }
    let (head, body) = send(&router(600), request).await.into_parts();
    (head.status.as_u16(), head.headers, to_bytes(body, usize::MAX).await.unwrap().len())
}

#[tokio::test]
async fn only_what_a_route_calls_public_is_stored_by_shared_caches() {
    for (method, path, status, control) in [
        (Method::GET, "/list", 200, PUBLIC),
        (Method::HEAD, "/list", 200, PUBLIC),
        (Method::POST, "/list", 200, PRIVATE),
        (Method::PUT, "/list", 405, PRIVATE),
        (Method::GET, "/gone", 410, PRIVATE),
        (Method::GET, "/own", 200, "no-cache"),
        (Method::GET, "/order", 200, PRIVATE),
        (Method::GET, "/plain", 200, PRIVATE),
        (Method::GET, "/missing", 404, PRIVATE),
    ] {
        let (found, headers, _) = read(method.clone(), path, "").await;
        assert_eq!((found, text(&headers, "cache-control")), (status, control), "{method} {path}");
    }
    let request = Request::get("/list").body(Body::empty()).unwrap();
    let response = send(&router(0), request).await;
    assert_eq!(text(response.headers(), "cache-control"), "public, max-age=30");
}

#[tokio::test]
async fn public_responses_have_strong_entity_tags_by_their_bytes() {
    let tag = async |path| text(&read(Method::GET, path, "").await.1, "etag").to_owned();
    let (list, again, other) = (tag("/list").await, tag("/list").await, tag("/other").await);
    assert!(list.starts_with('"') && list.len() == 34, "{list}");
    assert_eq!(list, again);
    assert_ne!(list, other);
    assert_eq!(tag("/product").await, "\"7\"");
    for path in ["/plain", "/gone", "/missing"] {
        assert_eq!(tag(path).await, "", "{path}");
    }
}

#[tokio::test]
async fn a_client_that_has_the_response_gets_no_body() {
    for (path, condition, status) in [
        ("/product", "\"7\"", 304),
        ("/product", "W/\"7\"", 304),
        ("/product", "\"x\" , \"7\"", 304),
        ("/product", "*", 304),
        ("/weak", "\"7\"", 304),
        ("/order", "\"7\"", 304),
        ("/product", "\"8\"", 200),
        ("/product", "7", 200),
        ("/product", "\"7", 200),
        ("/product", "\"a,\"7\"\"", 200),
        ("/plain", "*", 200),
        ("/missing", "*", 404),
        ("/gone", "*", 410),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let (found, headers, length) = read(method.clone(), path, condition).await;
            assert_eq!(found, status, "{method} {path} {condition}");
            if status == 304 {
                assert_eq!((length, text(&headers, "content-type")), (0, ""), "{path}");
                assert!(text(&headers, "etag").ends_with("\"7\""), "{path}");
            }
        }
    }
    let (_, headers, _) = read(Method::GET, "/product", "\"7\"").await;
    let vary: Vec<_> = headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!((text(&headers, "cache-control"), vary), (PUBLIC, vec!["accept-language", "accept-encoding"]));
    let (created, ..) = read(Method::POST, "/list", "*").await;
    assert_eq!(created, 200, "a change is made");
}

#[tokio::test]
async fn what_a_client_has_left_is_in_no_response_that_shared_caches_may_store() {
    for (path, condition, status, is_shared) in [
        ("/list", "", 200, true),
        ("/product", "\"7\"", 304, true),
        ("/own", "", 200, true),
        ("/order", "", 200, false),
        ("/order", "\"7\"", 304, false),
        ("/gone", "", 410, false),
    ] {
        let (found, headers, _) = read(Method::GET, path, condition).await;
        assert_eq!((found, headers.contains_key("ratelimit")), (status, !is_shared), "{path}");
        assert_eq!(text(&headers, "ratelimit-policy"), "\"general\";q=100;w=3600", "{path}");
    }
}
