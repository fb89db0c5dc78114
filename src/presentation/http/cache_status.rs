//! `Cache-Status` (RFC 9211): whether the store had to read the database for a response.
//!
//! It is on successful responses whose content is one entry: those of the catalogue, and those with own data of the
//! user. Failures have none; nor has a cart, which is computed from several entries and the database, nor a search,
//! whose entry was loaded by someone with the same words.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use super::conditional::IfNoneMatch;
use super::operation::OperationDescription;
use super::routing::Argument;
use crate::infrastructure::cache::{Form, Outcome, ReadStatus};
use crate::infrastructure::middleware::PublicResponse;

/// The name of the header.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Responds with what comes from a cache of the store and is the same for everyone: with an entity tag, and with what
/// came of the read, except for a search. What could not be loaded again is not public: no other cache may keep it for
/// longer.
#[derive(Debug, Clone)]
pub struct FromCache(IfNoneMatch);

impl FromCache {
    /// Responds with a form of the value, as [`IfNoneMatch::respond_with`] does.
    pub fn respond_with(&self, form: Form, status: ReadStatus) -> Response {
        let mut response = self.respond_with_search(form, status);
        response.headers_mut().insert(CACHE_STATUS, header(status));
        response
    }

    /// Responds with a page of a search: without what came of the read, which would say whether someone else has
    /// searched for the same words.
    pub fn respond_with_search(&self, form: Form, status: ReadStatus) -> Response {
        let mut response = self.0.respond_with(form);
        if status.outcome != Outcome::Fallback {
            response.extensions_mut().insert(PublicResponse);
        }
        response
    }
}

/// Adds what came of the read to a response with data of the user who sends the request. An entry has its owner in its
/// key, so it says nothing about the reads of other users. Other caches may not keep the response.
#[derive(Debug, Clone, Copy)]
pub struct OwnFromCache;

impl OwnFromCache {
    /// Responds with what came of the read; `None` for what is not kept, such as a further page of a list.
    pub fn respond(self, response: impl IntoResponse, status: Option<ReadStatus>) -> Response {
        let mut response = response.into_response();
        if let Some(status) = status {
            response.headers_mut().insert(CACHE_STATUS, header(status));
        }
        response
    }
}

/// Returns the value of the header.
fn header(ReadStatus { outcome, ttl_seconds, is_stored }: ReadStatus) -> HeaderValue {
    let known = match outcome {
        Outcome::Hit => "Undercroft; hit",
        Outcome::Shared => "Undercroft; hit; detail=shared",
        // it was sent without waiting for the load that began; its time is negative
        Outcome::Stale => "Undercroft; hit; detail=stale",
        Outcome::Fallback => "Undercroft; fwd=stale; detail=failed",
        Outcome::Loaded { was_kept, collapsed } => match (was_kept, collapsed, is_stored) {
            (false, false, false) => "Undercroft; fwd=miss",
            (false, false, true) => "Undercroft; fwd=miss; stored",
            (false, true, false) => "Undercroft; fwd=miss; collapsed",
            (false, true, true) => "Undercroft; fwd=miss; stored; collapsed",
            (true, false, false) => "Undercroft; fwd=stale",
            (true, false, true) => "Undercroft; fwd=stale; stored",
            (true, true, false) => "Undercroft; fwd=stale; collapsed",
            (true, true, true) => "Undercroft; fwd=stale; stored; collapsed",
        },
    };
    let with_time = is_stored.then(|| HeaderValue::try_from(format!("{known}; ttl={ttl_seconds}")));
    with_time.and_then(Result::ok).unwrap_or(HeaderValue::from_static(known))
}

impl Argument for FromCache {
    fn describe(operation: &mut OperationDescription<'_>) {
        IfNoneMatch::describe(operation);
        let description = "What the store had to do for the response (RFC 9211): `Undercroft; hit` if it was in \
                           memory, with `detail=shared` if it was in Redis, `fwd=miss` if it was read from the \
                           database, and `fwd=stale` if what was kept had changed or ended; `stored` if it is kept \
                           now, `collapsed` if another request had begun to read it; and `ttl`, the seconds for \
                           which it is kept unless it changes. A search has none: it would say whether someone else \
                           has searched for the same words.";
        operation.response_header(StatusCode::OK, "Cache-Status", description);
    }
}

impl Argument for OwnFromCache {
    fn describe(operation: &mut OperationDescription<'_>) {
        let description = "What the store had to do for the response (RFC 9211), as for products: `Undercroft; hit` if \
                           it was in memory, and `fwd=miss` if it was read from the database. It is missing if the \
                           store does not keep such a response: a list with another limit, or a further page.";
        operation.response_header(StatusCode::OK, "Cache-Status", description);
    }
}

impl<S: Sync> FromRequestParts<S> for FromCache {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        IfNoneMatch::from_request_parts(parts, state).await.map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for OwnFromCache {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_the_entry_was_found_and_how_long_it_is_kept() {
        let loaded = |was_kept, collapsed| Outcome::Loaded { was_kept, collapsed };
        for (outcome, ttl_seconds, is_stored, expected) in [
            (Outcome::Hit, 595, true, "Undercroft; hit; ttl=595"),
            (Outcome::Shared, 7, true, "Undercroft; hit; detail=shared; ttl=7"),
            (Outcome::Stale, -3, true, "Undercroft; hit; detail=stale; ttl=-3"),
            (Outcome::Fallback, -9, true, "Undercroft; fwd=stale; detail=failed; ttl=-9"),
            (loaded(false, false), 600, true, "Undercroft; fwd=miss; stored; ttl=600"),
            (loaded(false, true), 600, true, "Undercroft; fwd=miss; stored; collapsed; ttl=600"),
            (loaded(true, false), 600, true, "Undercroft; fwd=stale; stored; ttl=600"),
            (loaded(true, true), 600, true, "Undercroft; fwd=stale; stored; collapsed; ttl=600"),
            (loaded(false, false), 600, false, "Undercroft; fwd=miss"),
            (loaded(true, false), 600, false, "Undercroft; fwd=stale"),
        ] {
            assert_eq!(header(ReadStatus { outcome, ttl_seconds, is_stored }), expected);
        }
    }
}
