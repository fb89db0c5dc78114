//! What `Cache-Control` of a response says, and which responses are public.

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// An extension of a response which is the same for everyone, so that shared caches may store it. It concerns
/// successful responses to `GET` and `HEAD` that have no `Cache-Control`.
#[derive(Clone, Copy, Debug)]
pub struct PublicResponse;

/// Returns whether shared caches may store a response with these headers (RFC 9111 section 3).
pub(super) fn may_be_shared(headers: &HeaderMap) -> bool {
    !has_directive(headers, "no-store") && !has_directive(headers, "private")
}

/// Returns whether `Cache-Control` has a directive of this name in small letters, as responses of the service have it.
pub(super) fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    let control = headers.get(CACHE_CONTROL).and_then(|control| control.to_str().ok()).unwrap_or_default();
    control.split(',').any(|directive| directive.split('=').next().is_some_and(|it| it.trim() == name))
}
