//! Refuses requests while the service is overloaded: at once, with status 503 and `Retry-After`, the less important
//! first. What is accepted has its response in about the usual time.
//!
//! A request that is refused costs its head and a response that is made once: it is not logged, and reaches no route.
//! Pages of named origins can read the response, and their preflight requests are not refused.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, EXPECT, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::named_origins::NamedOrigins;
use super::overload_limiter::{OverloadLimiter, Priority};
use super::surround::{Middleware, Next};
use crate::infrastructure::exceptions::{Failure, Technical, TechnicalKind};

/// The largest body in bytes that is read of a request that is refused, so that its connection can be used again.
const SKIPPED: u64 = 4096;
/// How long that body may take: it is on its way with the head, or the connection ends with the response.
const SKIPPED_WITHIN: Duration = Duration::from_millis(100);

/// Refuses requests beyond a limit that follows from how long they wait.
#[derive(Clone, Debug)]
pub struct OverloadMiddleware {
    /// Sets the limit.
    pub limiter: OverloadLimiter,
    /// Returns the priority of requests of a method to a path of the router; `None` is a path that the router has not.
    pub priority: fn(&Method, Option<&str>) -> Priority,
}

/// The settings with the response to a request that is refused.
struct Overload {
    limiter: OverloadLimiter,
    priority: fn(&Method, Option<&str>) -> Priority,
    origins: Option<Arc<NamedOrigins>>,
    unavailable: Unavailable,
}

/// The response to a request that is refused.
struct Unavailable {
    status: StatusCode,
    headers: HeaderMap,
    document: Bytes,
}

impl OverloadMiddleware {
    /// Returns the member of the chain, with the response to a request that is refused.
    pub(super) fn member(self, origins: Option<Arc<NamedOrigins>>) -> impl Middleware {
        let Self { limiter, priority } = self;
        let failure = Failure::from(Technical::new(TechnicalKind::Unavailable, "overloaded"));
        let document = failure.document().into();
        let (mut head, _) = failure.into_response().into_parts();
        head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        head.headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let unavailable = Unavailable { status: head.status, headers: head.headers, document };
        Overload { limiter, priority, origins, unavailable }
    }
}

impl Middleware for Overload {
    async fn respond(&self, request: Request, next: impl Next) -> Response {
        let limiter = &self.limiter;
        let route = request.extensions().get().map(MatchedPath::as_str);
        let priority = (self.priority)(request.method(), route);
        let is_asked = self.origins.as_ref().is_some_and(|origins| origins.is_asked(&request));
        if priority == Priority::Exempt || is_asked {
            return next.run(request).await;
        }
        let now = limiter.now();
        if let Some(probe) = limiter.probe(now) {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                // to the end of the queue, behind the requests that have arrived
                yield_now().await;
                probe.end(limiter.now());
            });
        }
        let Some(progress) = limiter.begin(priority, now) else {
            return match &self.origins {
                Some(origins) => origins.respond(request, &self.unavailable).await,
                None => self.unavailable.run(request).await,
            };
        };
        let response = next.run(request).await;
        progress.end();
        response
    }
}

impl Next for &Unavailable {
    async fn run(self, request: Request) -> Response {
        skip_body(request).await;
        let mut response = Response::new(Body::from(self.document.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response
    }
}

/// Reads a small body to its end, if it is there: a connection with the rest of one has to be closed.
async fn skip_body(request: Request) {
    let is_small = request.body().size_hint().upper().is_some_and(|length| length <= SKIPPED);
    if is_small && !request.body().is_end_stream() && !request.headers().contains_key(EXPECT) {
        // the client may have gone, or be slow
        let _ = timeout(SKIPPED_WITHIN, request.into_body().collect()).await;
    }
}
