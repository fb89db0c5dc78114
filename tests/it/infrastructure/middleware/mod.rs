//! The middleware, around routes of an axum service that is no store.

mod cache;
mod compression;
mod cors;
mod example;
mod rate_limits;
mod security_headers;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response};
use tower::ServiceExt;

/// Sends a request to a router.
async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    let Ok(response) = router.clone().oneshot(request).await;
    response
}

/// Returns the value of a header, or an empty text if it is missing.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}
