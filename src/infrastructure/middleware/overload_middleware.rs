//! Refuses requests while the service is overloaded: at once, with status 503 and `Retry-After`, the less important
//! first. What is accepted has its response in about the usual time.
//!
//! A request that is refused costs its head and a response that is made once for each language: it reaches no route.
//! It has an id and a signal as other requests have, and its line in the log is written at the level debug only. Pages
//! of named origins can read the response, and their preflight requests are not refused.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, EXPECT, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::client::Client;
use super::languages::{ENGLISH, Languages};
use super::named_origins::NamedOrigins;
use super::overload_limiter::{OverloadLimiter, Priority};
use super::request::RequestId;
use super::surround::{HEADERS, Middleware, Next};
use crate::domain::context::Context;
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::{ApiRequestReceivedEvent, EventBus};
use crate::infrastructure::exceptions::{Failure, ProblemCode, Technical, TechnicalKind};

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
    problem: ProblemCode,
    /// The response in English, and in others.
    base: Text,
    others: Vec<(&'static str, Text)>,
    /// The source of the ids of requests, and where their signals are emitted; `None` gives them none.
    logged: Option<(Context, EventBus)>,
}

/// Returns a problem document with its texts in a language, if there are any.
type Translate<'a> = &'a dyn Fn(&[u8], &str) -> Option<Vec<u8>>;

/// The response in a language.
struct Text {
    headers: HeaderMap,
    document: Bytes,
}

impl OverloadMiddleware {
    /// Returns the member of the chain, with the response to a request that is refused: with these headers, in these
    /// languages and English as far as `translate` has texts, and with an id and a signal if requests have them.
    pub(super) fn member(
        self,
        origins: Option<Arc<NamedOrigins>>,
        headers: &[(HeaderName, HeaderValue)],
        languages: &[&'static str],
        translate: Translate<'_>,
        logged: Option<(Context, EventBus)>,
    ) -> impl Middleware + use<> {
        let Self { limiter, priority } = self;
        let unavailable = Unavailable::new(headers, languages, translate, logged);
        Overload { limiter, priority, origins, unavailable }
    }
}

impl Middleware for Overload {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let limiter = &self.limiter;
        let route = request.extensions().get().map(MatchedPath::as_str);
        let priority = (self.priority)(request.method(), route);
        let is_asked = self.origins.as_ref().is_some_and(|origins| origins.is_asked(request));
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

impl Unavailable {
    /// Renders the response in each language of which there are texts.
    fn new(
        headers: &[(HeaderName, HeaderValue)],
        languages: &[&'static str],
        translate: Translate<'_>,
        logged: Option<(Context, EventBus)>,
    ) -> Self {
        let failure = Failure::from(Technical::new(TechnicalKind::Unavailable, "overloaded"));
        let (problem, document) = (ProblemCode(failure.code().into()), failure.document());
        let (mut head, _) = failure.into_response().into_parts();
        head.headers.reserve(HEADERS);
        head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        head.headers.insert(VARY, HeaderValue::from_static("accept-language"));
        for (name, value) in headers {
            head.headers.insert(name, value.clone());
        }
        let text = |language, document: Vec<u8>| {
            let mut headers = head.headers.clone();
            headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language));
            Text { headers, document: document.into() }
        };
        let in_language =
            |&language: &&'static str| Some((language, text(language, translate(&document, language)?)));
        let others = languages.iter().filter_map(in_language).collect();
        let base = text(ENGLISH, translate(&document, ENGLISH).unwrap_or(document));
        Self { status: head.status, problem, base, others, logged }
    }

    /// Returns the response in the best language of a client.
    fn text(&self, request: &HeaderMap) -> &Text {
        let available = self.others.iter().map(|(language, _)| *language);
        let best = Languages::of(request).and_then(|languages| languages.best(&available, ENGLISH));
        let found = self.others.iter().find(|(language, _)| Some(*language) == best);
        found.map_or(&self.base, |(_, text)| text)
    }

    /// Returns the signal of a refused request. Its trace is not continued: to export it costs more than to refuse.
    fn signal(&self, context: &Context, request: &Request) -> ApiRequestReceivedEvent {
        let (id, extensions) = (context.ids.uuid(), request.extensions());
        ApiRequestReceivedEvent {
            route: extensions.get().map(|route: &MatchedPath| route.as_str().into()),
            request_id: id,
            method: request.method().clone(),
            status: Some(self.status),
            latency: Duration::ZERO,
            user_id: None,
            problem: Some(self.problem.clone()),
            is_https: extensions.get().is_some_and(|client: &Client| client.is_https),
            received_at: context.clock.coarse_now(),
            trace: TraceContext::of_request(id, None, 0.0),
            caused_by: None,
        }
    }
}

impl Next for &Unavailable {
    async fn run(self, request: &mut Request) -> Response {
        let began = Instant::now();
        let text = self.text(request.headers());
        let signal = self.logged.as_ref().map(|(context, bus)| (bus, self.signal(context, request)));
        skip_body(mem::take(request)).await;
        let mut response = Response::new(Body::from(text.document.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&text.headers);
        if let Some((bus, mut signal)) = signal {
            RequestId(signal.request_id).describe(response.headers_mut());
            signal.latency = began.elapsed();
            tracing::debug!(
                method = %signal.method,
                route = signal.route.as_deref().unwrap_or("-"),
                status = self.status.as_u16(),
                request_id = %signal.request_id,
                "refused for overload"
            );
            bus.emit(&signal);
        }
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
