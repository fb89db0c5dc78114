//! The middleware, around routes of an axum service that is no store.

mod cache;
mod client;
mod compression;
mod cors;
mod error_handling;
mod example;
mod jwt;
mod localization;
mod logging;
mod overload;
mod overload_limiter;
mod rate_limits;
mod request_validation;
mod security_headers;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response};
use tower::ServiceExt;

/// Sends a request to a router, with a host if it has none.
async fn send(router: &Router, mut request: Request<Body>) -> Response<Body> {
    request.headers_mut().entry("host").or_insert("service.example".parse().unwrap());
    send_as_it_is(router, request).await
}

/// Sends a request to a router.
async fn send_as_it_is(router: &Router, request: Request<Body>) -> Response<Body> {
    let Ok(response) = router.clone().oneshot(request).await;
    response
}

/// Returns the value of a header, or an empty text if it is missing.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}
