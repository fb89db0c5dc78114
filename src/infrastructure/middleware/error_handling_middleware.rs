//! Every error as a problem document (RFC 9457): those of handlers, panics, time-outs, unknown routes and methods.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use tokio::time::sleep;

use super::rate_limits::{RATE_LIMIT, RATE_LIMIT_POLICY};
use super::request::RequestId;
use super::surround::{Middleware, Next};
use crate::domain::context::Context;
use crate::infrastructure::exceptions::{
    Failure, NotFound, RejectedRequest, Technical, TechnicalKind, with_instance,
};

/// Lets a handler that panics or exceeds its time lead to a problem document, and so does an unknown route or method.
/// The response to a failure of the service gets an id, under which its cause is logged.
#[derive(Clone, Debug)]
pub struct ErrorHandlingMiddleware {
    /// The source of the ids of failures of requests that have none.
    pub context: Context,
    /// The longest time from a request to its response, for a service whose server does not limit it by a
    /// [`TimeLimit`]. When it is over, the future of the handler is dropped where it waits: what it was writing may be
    /// committed or not.
    pub timeout: Option<Duration>,
    /// Asked about a refusal of a request that is not safe, within its time; not about one with status 401, 413, 415 or
    /// 429.
    pub recheck: Option<Recheck>,
}

impl Default for ErrorHandlingMiddleware {
    /// Limits no time.
    fn default() -> Self {
        Self { context: Context::system(), timeout: None, recheck: None }
    }
}

/// A check of the service which explains a refusal: its failure is the response instead.
#[derive(Clone)]
pub struct Recheck(Arc<dyn Fn() -> Checked + Send + Sync>);

/// The outcome of a check, once it is there.
type Checked = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

impl Recheck {
    /// Returns a check by a function.
    pub fn new<F>(check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(check())))
    }
}

impl fmt::Debug for Recheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recheck")
    }
}

/// The time of a request, limited by the server: an extension of the request. The server wakes the task of the request
/// when the time is over.
#[derive(Clone)]
pub struct TimeLimit(pub Arc<dyn Lateness>);

/// Knows whether the time of a request is over.
pub trait Lateness: Send + Sync {
    /// Returns what took too long.
    fn late(&self) -> Option<Late>;
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The client, to send the body.
    Body,
    /// The handler.
    Handler,
}

impl Middleware for ErrorHandlingMiddleware {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let (method, extensions) = (request.method().clone(), request.extensions());
        let (id, is_known) = (extensions.get().copied(), extensions.get::<MatchedPath>().is_some());
        let limit = extensions.get().cloned();
        let response = pin!(async {
            let response = described(next.run(request).await, &method, is_known);
            match &self.recheck {
                Some(recheck) if !method.is_safe() && may_be_explained(response.status()) => {
                    match (recheck.0)().await {
                        Ok(()) => response,
                        Err(failure) => in_place_of(&response, failure),
                    }
                }
                _ => response,
            }
        });
        let response = self.handle(response, limit).await.unwrap_or_else(Failure::into_response);
        with_instance(response, || id.map_or_else(|| self.context.ids.uuid(), |RequestId(id)| id))
    }
}

impl ErrorHandlingMiddleware {
    /// Returns a response, or the failure if it panics or takes too long.
    async fn handle(
        &self,
        mut response: Pin<&mut impl Future<Output = Response>>,
        limit: Option<TimeLimit>,
    ) -> Result<Response, Failure> {
        let mut alarm = self.timeout.map(|time| Box::pin(sleep(time)));
        poll_fn(|cx| {
            let is_over = alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready());
            let late = if is_over { Some(Late::Handler) } else { limit.as_ref().and_then(|it| it.0.late()) };
            match late {
                Some(Late::Body) => Poll::Ready(Err(RejectedRequest::TooSlow.into())),
                Some(Late::Handler) => {
                    let failure = Technical::new(TechnicalKind::TimedOut, "the handler exceeded its time");
                    Poll::Ready(Err(failure.into()))
                }
                None => match catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx))) {
                    Ok(response) => response.map(Ok),
                    Err(panic) => Poll::Ready(Err(Technical::internal(panic_message(&*panic)).into())),
                },
            }
        })
        .await
    }
}

/// Returns whether a status is that of a refusal which another state of the service may explain: not one that follows
/// from the request alone.
fn may_be_explained(status: StatusCode) -> bool {
    let follows_from_request = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_client_error() && !follows_from_request
}

/// Returns the response to a route or method that the router does not know, which has no body, as a problem document.
/// `OPTIONS` succeeds on any resource; the router adds `Allow`.
fn described(response: Response, method: &Method, is_known: bool) -> Response {
    let is_bare = response.body().is_end_stream() && response.extensions().get::<Failure>().is_none();
    match response.status() {
        StatusCode::NOT_FOUND if is_bare && !is_known => {
            let response = in_place_of(&response, Failure::from(NotFound::Route));
            // the router removes the body from the response of a route only
            if *method == Method::HEAD { response.map(|_| Body::empty()) } else { response }
        }
        StatusCode::METHOD_NOT_ALLOWED if is_bare && *method == Method::OPTIONS => {
            in_place_of(&response, StatusCode::NO_CONTENT)
        }
        StatusCode::METHOD_NOT_ALLOWED if is_bare => {
            in_place_of(&response, Failure::from(RejectedRequest::MethodNotAllowed))
        }
        _ => response,
    }
}

/// Returns a response in place of another one, with the rate limits that this one states.
fn in_place_of(replaced: &Response, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    for name in [RATE_LIMIT_POLICY, RATE_LIMIT] {
        if let Some(value) = replaced.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The message of a panic, for the log.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("without a message"))
}
