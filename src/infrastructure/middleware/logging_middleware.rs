//! The line of each request in the log, its id, its trace and its signal.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, Method};
use ipnet::IpNet;
use jiff::Timestamp;
use uuid::Uuid;

use super::client::{Client, client_address, network};
use super::request::{RequestId, RequestUser};
use super::surround::{Middleware, Next};
use crate::domain::context::Context;
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::{ApiRequestReceivedEvent, EventBus};
use crate::infrastructure::exceptions::{Failure, ProblemCode, UnauthorizedAccessException};
use crate::infrastructure::repositories::in_trace;

/// The header with the trace that a request belongs to (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// Gives each request an id, which the response has as `x-request-id`, handles it within its trace, logs it in one
/// line, and emits its signal. The line has the route instead of the path and no query, since ids and queries may be
/// personal data. A request that is dropped before its response, such as one whose client disconnects, has a line and a
/// signal without a status.
#[derive(Clone, Debug)]
pub struct LoggingMiddleware {
    /// The sources of the ids and the times.
    pub context: Context,
    /// Where the signals of requests are emitted.
    pub bus: EventBus,
    /// How many bits of the address of a client the line shows, of IPv4 and of IPv6; `None` shows no address.
    pub address_bits: Option<[u8; 2]>,
    /// The segment of a path after which the id of an order follows, such as `orders`; the line has the id.
    pub orders: Option<&'static str>,
    /// The share of the traces which begin here that are sampled, from 0 to 1: whether their spans are exported. Of the
    /// traces that clients name, those that they call sampled are sampled in the same share, and all of them if a
    /// trusted proxy sent the request ([`Client::is_proxied`]).
    pub sampled: f64,
}

impl Default for LoggingMiddleware {
    /// Shows /24 of an IPv4 address and /48 of an IPv6 address, and samples nothing.
    fn default() -> Self {
        let (context, bus) = (Context::system(), EventBus::default());
        Self { context, bus, address_bits: Some([24, 48]), orders: None, sampled: 0.0 }
    }
}

impl Middleware for LoggingMiddleware {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let mut progress = InProgress::new(self, request);
        request.extensions_mut().insert(RequestId(progress.id));
        request.extensions_mut().insert(progress.user.clone());

        let mut response = in_trace(Some(progress.trace), next.run(request)).await;

        RequestId(progress.id).describe(response.headers_mut());
        progress.end(Some(&response));
        response
    }
}

/// A request in progress. If it is dropped before its end, then its client disconnected or the server stopped.
struct InProgress<'a> {
    logging: &'a LoggingMiddleware,
    id: Uuid,
    began: Instant,
    received_at: Timestamp,
    trace: TraceContext,
    caused_by: Option<TraceContext>,
    method: Method,
    route: Option<MatchedPath>,
    is_https: bool,
    client: Option<IpNet>,
    order: Option<Uuid>,
    user: RequestUser,
    has_ended: bool,
}

impl<'a> InProgress<'a> {
    fn new(logging: &'a LoggingMiddleware, request: &Request) -> Self {
        let id = logging.context.ids.uuid();
        let caused_by = cause(request.headers());
        let address = client_address(request.extensions()).zip(logging.address_bits);
        let client = request.extensions().get::<Client>();
        let is_proxied = client.is_some_and(|client| client.is_proxied);
        let sampled = logging.sampled;
        let within = |cause: TraceContext| if is_proxied { cause } else { cause.within(id, sampled) };
        Self {
            logging,
            id,
            began: Instant::now(),
            received_at: logging.context.clock.now(),
            trace: TraceContext::of_request(id, caused_by.map(within), sampled),
            caused_by,
            method: request.method().clone(),
            route: request.extensions().get().cloned(),
            is_https: client.is_some_and(|client| client.is_https),
            client: address.map(|(address, bits)| network(address, bits)),
            order: logging.order_in(request.uri().path()),
            user: RequestUser::default(),
            has_ended: false,
        }
    }

    /// Writes the line and emits the signal of the request, with its response if there is one.
    fn end(&mut self, response: Option<&Response>) {
        self.has_ended = true;
        let of_response = || self.logging.order_in(response?.headers().get(LOCATION)?.to_str().ok()?);
        let order = self.order.or_else(of_response);
        let route = self.route.as_ref().map(MatchedPath::as_str);
        let user_id = self.user.get().map(|user| user.user_id);
        let problem = response.and_then(|response| response.extensions().get::<ProblemCode>().cloned());
        let failure = response.and_then(|response| response.extensions().get::<Failure>());
        let reason = failure.and_then(Failure::downcast_ref::<UnauthorizedAccessException>);
        let (status, latency) = (response.map(Response::status), self.began.elapsed());
        let outcome = if response.is_some() { "responded" } else { "abandoned" };
        tracing::info!(
            method = %self.method,
            route = route.unwrap_or("-"),
            status = status.map(|status| status.as_u16()),
            microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            client = self.client.map(|address| tracing::field::display(shown(address))),
            request_id = %self.id,
            trace_id = %self.trace.shown_trace_id(),
            user_id = user_id.map(|user| tracing::field::display(user.0)),
            problem = problem.as_ref().map(|ProblemCode(code)| &**code),
            reason = reason.map(tracing::field::display),
            order_id = order.map(tracing::field::display),
            "{outcome}"
        );
        self.logging.bus.emit(&ApiRequestReceivedEvent {
            route: route.map(Arc::from),
            request_id: self.id,
            method: self.method.clone(),
            status,
            latency,
            user_id,
            problem,
            is_https: self.is_https,
            received_at: self.received_at,
            trace: self.trace,
            caused_by: self.caused_by,
        });
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(None);
        }
    }
}

impl LoggingMiddleware {
    /// Returns the id of the order that a path names.
    fn order_in(&self, path: &str) -> Option<Uuid> {
        let (name, mut segments) = (self.orders?, path.split('/'));
        segments.find(|segment| *segment == name)?;
        segments.next()?.parse().ok()
    }
}

/// Returns the trace context of the request or operation that caused a request, if the client names exactly
/// one.
fn cause(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    only.to_str().ok()?.parse().ok()
}

/// Renders a network, and one of a single address without its length.
fn shown(network: IpNet) -> impl Display {
    fmt::from_fn(move |f| {
        if network.prefix_len() == network.max_prefix_len() { network.addr().fmt(f) } else { network.fmt(f) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_after_the_segment_is_that_of_an_order() {
        let logging = LoggingMiddleware { orders: Some("orders"), ..LoggingMiddleware::default() };
        let id = Uuid::from_u128(7);
        for (path, order) in [
            (format!("/v1/orders/{id}/invoice"), Some(id)),
            (format!("/admin/v1/orders/{id}"), Some(id)),
            (format!("/v1/carts/{id}"), None),
            ("/v1/orders/ann@example.org".into(), None),
            ("/v1/orders".into(), None),
        ] {
            assert_eq!(logging.order_in(&path), order, "{path}");
        }
        assert_eq!(LoggingMiddleware::default().order_in(&format!("/v1/orders/{id}")), None);
    }
}
