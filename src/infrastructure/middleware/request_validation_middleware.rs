//! Refuses requests that no route could read, before any route does: those without exactly one valid `Host`, with a
//! transfer coding that is not decoded, or with two media types. Sets the limit of bodies.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Version};

use super::host::is_host;
use super::surround::{Middleware, Next};
use crate::infrastructure::exceptions::{Failure, RejectedRequest};

/// Refuses malformed requests, and sets the limit of bodies.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestValidationMiddleware {
    /// The largest body, in bytes, where a route does not set another limit.
    pub body_limit: BodyLimit,
}

/// The largest body in bytes: an extension of the request, by which routes limit what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    /// 64 KiB.
    fn default() -> Self {
        Self(64 << 10)
    }
}

impl Middleware for RequestValidationMiddleware {
    async fn respond(&self, mut request: Request, next: impl Next) -> Response {
        if let Err(rejected) = check_head(&request) {
            return Failure::from(rejected).into_response();
        }
        request.extensions_mut().insert(self.body_limit);
        next.run(request).await
    }
}

/// Checks what all routes require of a head.
///
/// - A request of HTTP/1.1 has exactly one `Host` (RFC 9112 section 3.2), which is a host.
/// - The transfer coding of a body is `chunked`, and then there is no `Content-Length` (section 6.1): proxies that read
///   one or the other would see two different requests.
/// - There is one media type at most, so that all readers of the body take the same.
fn check_head(request: &Request) -> Result<(), RejectedRequest> {
    let headers = request.headers();
    let hosts = headers.get_all(HOST);
    if request.version() == Version::HTTP_11 && hosts.iter().count() != 1 {
        return Err(RejectedRequest::NotOneHost);
    }
    if !hosts.iter().all(|host| is_host(host.as_bytes())) {
        return Err(RejectedRequest::MalformedHeader {
            header: "Host",
            expected: "the name or address of a host, with a port if it is not the usual one",
        });
    }
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !headers.get_all(TRANSFER_ENCODING).iter().all(is_chunked) {
        return Err(RejectedRequest::MalformedHeader { header: "Transfer-Encoding", expected: "chunked" });
    }
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        let expected = "absent beside Transfer-Encoding";
        return Err(RejectedRequest::MalformedHeader { header: "Content-Length", expected });
    }
    if headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(RejectedRequest::MalformedHeader { header: "Content-Type", expected: "one media type" });
    }
    Ok(())
}
