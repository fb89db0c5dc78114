//! One connection: its requests, each with its time-outs.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, DATE, HOST, TRANSFER_ENCODING},
    request::Parts,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tower::Service;

use super::deadline::Deadline;
use super::phase::{Phase, PhaseTracker, TrackedBody, TrackedStream};
use super::registry::{Entry, Registry, ResponseBody};
use crate::domain::context::Context;
use crate::infrastructure::events::{EventBus, RefusedHeadEvent};
use crate::infrastructure::middleware::{Chain, Client, Partition, TimeLimit, is_host};
use crate::settings::HttpSettings;

/// The most bytes read of a head, and written ahead of a client that reads slowly.
const BUFFER_BYTES: usize = 64 << 10;

/// How long a new connection waits for its first request when the server stops: that may be on its way.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// What all connections share.
pub(super) struct Connections {
    router: Router,
    pub(super) settings: HttpSettings,
    context: Context,
    /// Where the signals of requests are emitted, if they are.
    bus: Option<EventBus>,
    date: Date,
    /// Whether each response ends its connection.
    closing: AtomicBool,
    /// Set before `stop` is notified; reading it is cheaper than polling `stop` at each wake-up.
    stopping: AtomicBool,
    stop: Notify,
    served: AtomicU64,
    registry: Registry,
}

impl Connections {
    pub(super) fn new(router: Router, chain: Chain, settings: HttpSettings, context: Context) -> Self {
        let bus = chain.logging.as_ref().map(|logging| logging.bus.clone());
        let router = chain.apply(router);
        let (closing, stopping, served) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let (stop, registry) = (Notify::new(), Registry::new());
        let date = Date::new();
        Self { router, settings, context, bus, date, closing, stopping, stop, served, registry }
    }

    /// Ends each connection after its next response.
    pub(super) fn close_after_responses(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Ends each connection after its present request.
    pub(super) fn stop(&self) {
        self.close_after_responses();
        self.stopping.store(true, Ordering::SeqCst);
        self.stop.notify_waiters();
    }

    /// Closes connections, so that there is room for others, unless `wanted` are ending already; returns how many.
    pub(super) fn make_room(&self, wanted: usize) -> usize {
        self.registry.make_room(wanted)
    }

    /// The number of requests that got a response.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Serves the requests of one connection from the address `peer`; returns whether one was in progress when the
    /// server was stopped, and got its response.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr) -> bool {
        let is_proxy = self.settings.trusted_proxies.contains(peer.to_canonical());
        let network = (!is_proxy).then(|| Partition::Address(peer).canonical());
        let registered = self.registry.register(network);
        let entry = Arc::clone(&registered.entry);
        let tracker = &entry.tracker;
        let io = TokioIo::new(TrackedStream::new(stream, Arc::clone(tracker)));
        let service = service_fn(|request| self.respond(request, peer, &entry));
        let mut connection = pin!(builder().serve_connection(io, service));

        let first_request = Instant::now() + FIRST_REQUEST;
        let mut deadline = Deadline::new(&self.settings, tracker.snapshot());
        let mut alarm = pin!(sleep(self.settings.header_timeout));
        let (mut stop, mut close) = (pin!(self.stop.notified()), pin!(entry.closing()));
        // polled once to register the waker, which stays the same as long as the task
        poll_fn(|cx| Poll::Ready((stop.as_mut().poll(cx).is_ready(), close.as_mut().poll(cx).is_ready())))
            .await;

        let (mut shutting_down, mut was_running) = (false, false);
        let is_complete = poll_fn(|cx| {
            loop {
                match connection.as_mut().poll(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(true),
                    Poll::Ready(Err(error)) => {
                        if let Some(bus) = self.bus.as_ref().filter(|_| error.is_parse()) {
                            bus.emit(&RefusedHeadEvent { is_too_large: error.is_parse_too_large() });
                        }
                        tracing::debug!(error = &error as &dyn std::error::Error, "connection failed");
                        return Poll::Ready(false);
                    }
                    Poll::Pending => {}
                }
                if entry.is_closing() {
                    // registers the waker again: what was idle may have begun a request, to be interrupted later
                    let _ = close.as_mut().poll(cx);
                }
                let snapshot = tracker.snapshot();
                if entry.ends_in(snapshot.phase()) {
                    return Poll::Ready(!snapshot.phase().is_request());
                }
                let stopping = self.stopping.load(Ordering::SeqCst);
                if stopping && snapshot.request == 0 && Instant::now() < first_request {
                    alarm.as_mut().reset(first_request);
                } else if !shutting_down && (stopping || entry.is_closing()) {
                    shutting_down = true;
                    was_running = stopping && snapshot.phase().is_request();
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                let deadline = deadline.update(snapshot, tracker.transferred());
                if deadline < alarm.deadline() {
                    alarm.as_mut().reset(deadline);
                }
                ready!(alarm.as_mut().poll(cx));
                if Instant::now() < deadline {
                    // requests move the deadline without touching the alarm; it follows here
                    alarm.as_mut().reset(deadline);
                } else if !tracker.expire() {
                    // the client of a connection that is being closed has the response
                    return Poll::Ready(snapshot.phase() == Phase::Closing);
                }
            }
        })
        .await;
        was_running && is_complete
    }

    /// Responds to one request.
    async fn respond(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        entry: &Arc<Entry>,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let tracker = &entry.tracker;
        tracker.begin_request();
        let (mut head, body) = request.into_parts();
        // with a length beside the coding, which the library may have removed, a proxy could see another end of the
        // body
        let is_ambiguous = head.headers.contains_key(TRANSFER_ENCODING);
        apply_target(&mut head);
        head.extensions.insert(Client::of(&head.headers, peer, &self.settings.trusted_proxies));
        let body = if hyper::body::Body::is_end_stream(&body) {
            Body::empty()
        } else {
            Body::new(TrackedBody::new(body, Arc::clone(tracker)))
        };

        let tracked: Arc<PhaseTracker> = Arc::clone(tracker);
        head.extensions.insert(TimeLimit(tracked));
        let Ok(mut response) = self.router.clone().call(Request::from_parts(head, body)).await;
        // the rest of a body that is not read ends the connection
        let is_last =
            is_ambiguous || tracker.is_body_unread() || response.status() == StatusCode::REQUEST_TIMEOUT;
        if is_last || self.closing.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status() == StatusCode::NOT_MODIFIED {
            // it would be the length of the response with its body (RFC 9110 section 8.6), which the router has not
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        response.headers_mut().insert(DATE, self.date.at(self.context.clock.now()));
        self.served.fetch_add(1, Ordering::Relaxed);
        Ok(response.map(|body| entry.respond_with(body)))
    }
}

/// Puts the host of an absolute target in place of `Host`, which does not count beside it (RFC 9112 section 3.2.2).
fn apply_target(head: &mut Parts) {
    let Some(authority) = head.uri.authority().filter(|_| head.uri.scheme().is_some()) else { return };
    let host = HeaderValue::from_str(authority.as_str()).ok();
    // a request without the header, with two of them, or with one that is no host is refused by the middleware
    let stated = head.headers.get_mut(HOST).filter(|stated| is_host(stated.as_bytes()));
    if let (Some(host), Some(stated)) = (host, stated) {
        *stated = host;
    }
}

/// Returns the settings of HTTP/1.1. The library adds `Date` to the errors that it responds with by itself; other
/// responses have one, since that of the library is not corrected after the clock was set back.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES);
    builder
}

/// The last `Date`, with its time in seconds.
struct Date(Mutex<(i64, HeaderValue)>);

impl Date {
    fn new() -> Self {
        Self(Mutex::new((i64::MIN, HeaderValue::from_static(""))))
    }

    /// Returns a time in the format of `Date` (RFC 9110 section 5.6.7).
    fn at(&self, now: Timestamp) -> HeaderValue {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != now.as_second() {
            let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            // the years 0 to 9999 have such a text, and it is always valid in a header
            let value = text.ok().and_then(|text| text.try_into().ok());
            *last = (now.as_second(), value.unwrap_or(HeaderValue::from_static("")));
        }
        last.1.clone()
    }
}
