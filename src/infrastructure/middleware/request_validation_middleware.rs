//! Refuses requests that no route could read, before any route does: those without exactly one valid `Host`, with a
//! transfer coding that is not decoded, or with two media types. Finds what a route does not read, which the handler of
//! the route lists with the other faults of the request, and refuses it where the handler does not. Sets the limit of
//! bodies, also for extractors of axum.

use std::collections::BTreeSet;

use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Version};
use url::form_urlencoded;

use super::host::is_host;
use super::request::{ByRoute, of_route};
use super::surround::{Middleware, Next};
use crate::infrastructure::exceptions::{
    Failure, Fault, Location, RejectedRequest, RequestFaults, ValidationException,
};

/// The most parameters of which a refusal has the names, and the longest name, in characters.
const NAMED: usize = 100;

/// Refuses malformed requests, finds what routes do not read, and sets the limit of bodies.
#[derive(Clone, Debug, Default)]
pub struct RequestValidationMiddleware {
    /// The largest body, in bytes, where a route does not set another limit. It is that of the extractors of axum, too,
    /// such as `axum::Json`.
    ///
    /// A route sets another one within the chain: by an extension [`BodyLimit`], or by a layer [`DefaultBodyLimit`] for
    /// those extractors. Such a layer around the chain has no effect. The extractors of axum respond to a larger body
    /// with status 413 and plain text, which is no problem document: `presentation::http::json::Json`, which reads the
    /// extension, responds with one, as to all that is wrong with a body.
    pub body_limit: BodyLimit,
    /// What routes do not read. One that is not there may read everything.
    pub unread: ByRoute<Unread>,
}

/// What a route does not read, so that a request with it is refused: its client expects an effect that it does not
/// have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Parameters of the query.
    pub query: bool,
    /// The conditions of a change. A request whose method is safe may have any.
    pub conditions: UnreadConditions,
    /// Whether the handler of the route lists what a request has of this with the other faults, which it finds in the
    /// extension [`RequestFaults`], once its policy allows the request. The handlers of `Routes` do; a request for any
    /// other is refused before.
    pub is_listed_by_handler: bool,
}

/// The conditions of a change that a route does not compare (RFC 9110 section 13.1): it would make the change although
/// the client requires a version, that there is no resource, or that it was not changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnreadConditions {
    /// `If-Match` with entity tags.
    pub if_match: bool,
    /// `If-None-Match` with entity tags, or `*` for no resource.
    pub if_none_match: bool,
    /// `If-Unmodified-Since` with a time. It is ignored beside `If-Match`, as section 13.1.4 requires.
    pub if_unmodified_since: bool,
}

impl UnreadConditions {
    /// Returns the headers that are not read, each with the failure of a request that has it.
    pub fn failures(self) -> impl Iterator<Item = (HeaderName, RejectedRequest)> {
        let (no_version, no_time) = (
            "absent, since this operation compares no version",
            "absent, since this operation compares no time",
        );
        let all = [
            (self.if_match, IF_MATCH, "If-Match", no_version),
            (self.if_none_match, IF_NONE_MATCH, "If-None-Match", no_version),
            (self.if_unmodified_since, IF_UNMODIFIED_SINCE, "If-Unmodified-Since", no_time),
        ];
        let unread = all.into_iter().filter(|(is_unread, ..)| *is_unread);
        unread
            .map(|(_, name, header, expected)| (name, RejectedRequest::MalformedHeader { header, expected }))
    }

    /// Returns the failures of a request with these headers, one for each of them that is not read.
    fn failures_of(self, headers: &HeaderMap) -> impl Iterator<Item = RejectedRequest> {
        let has_version = headers.contains_key(IF_MATCH);
        let is_stated = move |name: &HeaderName| {
            headers.contains_key(name) && !(has_version && *name == IF_UNMODIFIED_SINCE)
        };
        self.failures().filter(move |(name, _)| is_stated(name)).map(|(_, rejected)| rejected)
    }
}

/// The largest body in bytes: an extension of the request, by which routes limit what they read. The extractors of axum
/// do not read it: for them the chain sets [`DefaultBodyLimit`] to the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    /// 64 KiB.
    fn default() -> Self {
        Self(64 << 10)
    }
}

impl Middleware for RequestValidationMiddleware {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        if let Err(rejected) = check_head(request) {
            return Failure::from(rejected).into_response();
        }
        match self.check_unread(request) {
            Err(failure) => return failure.into_response(),
            Ok(unread) if unread.is_empty() => {}
            Ok(unread) => {
                request.extensions_mut().insert(unread);
            }
        }
        request.extensions_mut().insert(self.body_limit);
        DefaultBodyLimit::max(self.body_limit.0).apply(request);
        next.run(request).await
    }
}

impl RequestValidationMiddleware {
    /// Returns the faults of what the route of a request does not read and its handler lists.
    ///
    /// # Errors
    ///
    /// All these faults, if the handler does not list them.
    fn check_unread(&self, request: &Request) -> Result<RequestFaults, Failure> {
        let (query, headers) = (request.uri().query().unwrap_or_default(), request.headers());
        let conditions = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];
        let is_conditional =
            !request.method().is_safe() && conditions.iter().any(|it| headers.contains_key(it));
        let mut faults = RequestFaults::default();
        if query.is_empty() && !is_conditional {
            return Ok(faults);
        }
        let unread = of_route(&self.unread, request).unwrap_or_default();
        if is_conditional {
            for rejected in unread.conditions.failures_of(headers) {
                faults.keep::<()>(Err(rejected))?;
            }
        }
        if unread.query {
            faults.keep(check_no_parameter(query))?;
        }
        if faults.is_empty() || unread.is_listed_by_handler { Ok(faults) } else { Err(faults.into_failure()) }
    }
}

/// Checks that a query has no parameter.
fn check_no_parameter(query: &str) -> Result<(), Failure> {
    let parameters = form_urlencoded::parse(query.as_bytes());
    let names: BTreeSet<String> = parameters.map(|(name, _)| name.chars().take(NAMED).collect()).collect();
    let mut input = ValidationException::none();
    for name in names.into_iter().take(NAMED) {
        input.add(Location::Parameter(name), Fault::Unknown);
    }
    input.check()
}

/// Checks what all routes require of a head.
///
/// - A request of HTTP/1.1 has exactly one `Host` (RFC 9112 section 3.2), which is a host.
/// - The transfer coding of a body is `chunked`, once, and then there is no `Content-Length` (section 6.1): proxies
///   that read one or the other would see two different requests.
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
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(RejectedRequest::MalformedHeader {
                header: "Transfer-Encoding",
                expected: "chunked",
            });
        }
        if headers.contains_key(CONTENT_LENGTH) {
            let expected = "absent beside Transfer-Encoding";
            return Err(RejectedRequest::MalformedHeader { header: "Content-Length", expected });
        }
    }
    if headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(RejectedRequest::MalformedHeader { header: "Content-Type", expected: "one media type" });
    }
    Ok(())
}
