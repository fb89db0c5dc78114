//! HTTP caching (RFC 9111): each response says who may store it and for how long, a response that caches may store has
//! a strong entity tag, and a client that has it gets 304 (RFC 9110 section 13).
//!
//! A response is not stored by anyone unless a handler or a route says otherwise: by `Cache-Control`, or by the
//! extension [`PublicResponse`], whose times are those of the settings. One that shared caches may store does not say
//! what its client has left of rate limits, since others get it, too.

use std::fmt::Write;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode};
use sha2::{Digest, Sha256};

use super::cache_control::{PublicResponse, may_be_shared};
use super::entity_tags::{client_has, if_none_match};
use super::rate_limits::RATE_LIMIT;
use super::surround::{Middleware, Next};
use crate::domain::digest::first_u128;

/// The largest body of which an entity tag is computed, in bytes.
const MOST_TAGGED: u64 = 4 << 20;

/// Says how responses are cached, and responds to conditional requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheMiddleware {
    /// How long caches use a public response without asking.
    pub max_age: Duration,
    /// How long caches may still use it after that, while they ask (RFC 5861).
    pub stale_while_revalidate: Duration,
}

impl CacheMiddleware {
    /// Returns the member of the chain.
    pub(super) fn member(self) -> impl Middleware {
        // the texts are numbers and words, which are always valid
        Control { public: HeaderValue::try_from(self.public()).unwrap_or(NOT_STORED) }
    }

    /// The `Cache-Control` of public responses.
    fn public(self) -> String {
        let mut text = format!("public, max-age={}", self.max_age.as_secs());
        let stale = self.stale_while_revalidate.as_secs();
        if stale > 0 {
            // writing to a text does not fail
            let _ = write!(text, ", stale-while-revalidate={stale}");
        }
        text
    }
}

/// The `Cache-Control` of all other responses.
const NOT_STORED: HeaderValue = HeaderValue::from_static("no-store");

/// The `Cache-Control` of responses.
struct Control {
    public: HeaderValue,
}

impl Middleware for Control {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let conditions = if_none_match(request.headers());
        let mut response = next.run(request).await;

        let is_found = matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED);
        let is_public = reads && is_found && response.extensions_mut().remove::<PublicResponse>().is_some();
        let control = if is_public { &self.public } else { &NOT_STORED };
        response.headers_mut().entry(CACHE_CONTROL).or_insert_with(|| control.clone());
        if is_public && response.status() == StatusCode::OK && !response.headers().contains_key(ETAG) {
            response = with_entity_tag(response).await;
        }
        if may_be_shared(response.headers()) {
            response.headers_mut().remove(RATE_LIMIT);
        }

        match response.headers().get(ETAG) {
            Some(tag) if reads && response.status() == StatusCode::OK && client_has(&conditions, tag) => {
                not_modified(response)
            }
            _ => response,
        }
    }
}

/// Adds the digest of the body as the entity tag, if the body is in memory.
async fn with_entity_tag(response: Response) -> Response {
    let size = response.body().size_hint().exact();
    let Some(size) = size.filter(|size| *size <= MOST_TAGGED).and_then(|size| usize::try_from(size).ok())
    else {
        return response;
    };
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, size).await else {
        // a body in memory does not fail
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let number = first_u128(&Sha256::digest(&bytes).into());
    if let Ok(tag) = HeaderValue::try_from(format!("\"{number:032x}\"")) {
        head.headers.insert(ETAG, tag);
    }
    Response::from_parts(head, Body::from(bytes))
}

/// Returns a response as 304, with the headers that a cache updates.
fn not_modified(response: Response) -> Response {
    let mut response = response.map(|_| Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    response
}
