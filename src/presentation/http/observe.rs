//! The layer around every request: its id, the limit of its body, its line in the log, its signal.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use ipnet::IpNet;
use uuid::Uuid;

use super::actor::{RequestOrigin, RequestUser};
use super::body_limit::BodyLimit;
use super::state::AppState;
use crate::domain::ids::UserId;
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::{ApiRequestReceivedEvent, EventBus};
use crate::infrastructure::exceptions::{Failure, RejectedRequest, with_instance};
use crate::infrastructure::middleware::{Client, is_host};
use crate::infrastructure::repositories::in_trace;
use crate::settings::ClientAddress;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header with the trace that a request belongs to (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// Gives the request an id, logs it in one line, and returns the id in the response. The line has the route instead
/// of the path and no query, since ids and queries may be personal data.
pub(super) async fn observe(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = app.store.database().context().ids.uuid();
    let method = request.method().clone();
    let client = request.extensions().get::<Client>();
    let origin = RequestOrigin {
        request_id: id,
        network: client.filter(|_| app.client_address != ClientAddress::None).map(Client::network),
    };
    let client = client.and_then(|client| logged_address(app.client_address, client));
    let (route, user) = (request.extensions().get::<MatchedPath>().cloned(), RequestUser::default());
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(BodyLimit::of(&app.http));
    request.extensions_mut().insert(user.clone());
    let trace = TraceContext::of_request(id, cause(request.headers()));

    let response = match check_head(&request) {
        Ok(()) => {
            let response = in_trace(Some(trace), next.run(request)).await;
            unless_not_live(&app, &method, response).await
        }
        Err(rejected) => Failure::from(rejected).into_response(),
    };
    let response = with_instance(response, id);
    let route = route.as_ref().map(MatchedPath::as_str);
    let user_id = user.get().map(|user| user.user_id);
    let observed = Observed { id, trace, method: &method, route, user_id, client, began };
    observed.finish(response, &app.store.infrastructure.bus)
}

/// Returns the trace context of the request or operation that caused a request, if the client names it.
pub(super) fn cause(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}

/// Returns the response to a request; `not_ready` instead of a refusal of a write if the database is not that of the
/// store: what it was refused for, such as a cart that does not exist, may be different in the one that is.
async fn unless_not_live(app: &AppState, method: &Method, response: Response) -> Response {
    if method.is_safe() || !response.status().is_client_error() {
        return response;
    }
    match app.readiness.check_live(&app.store).await {
        Ok(()) => response,
        Err(not_ready) => Failure::from(not_ready).into_response(),
    }
}

/// Refuses a request of HTTP/1.1 without exactly one `Host` (RFC 9112 section 3.2), and a request whose `Host` is no
/// host or whose body has a transfer coding other than `chunked` (section 6.1), which the server does not decode.
fn check_head(request: &Request) -> Result<(), RejectedRequest> {
    let hosts = request.headers().get_all(HOST);
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
    if !request.headers().get_all(TRANSFER_ENCODING).iter().all(is_chunked) {
        return Err(RejectedRequest::MalformedHeader { header: "Transfer-Encoding", expected: "chunked" });
    }
    Ok(())
}

/// Returns what the log shows of the address of a client.
pub(super) fn logged_address(form: ClientAddress, client: &Client) -> Option<IpNet> {
    match form {
        ClientAddress::Full => Some(client.address.into()),
        ClientAddress::Truncated => Some(client.network()),
        ClientAddress::None => None,
    }
}

/// Renders a network, and one of a single address without its length.
fn shown(network: IpNet) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        if network.prefix_len() == network.max_prefix_len() { network.addr().fmt(f) } else { network.fmt(f) }
    })
}

/// A request that is being finished.
pub(super) struct Observed<'a> {
    pub(super) id: Uuid,
    pub(super) trace: TraceContext,
    pub(super) method: &'a Method,
    pub(super) route: Option<&'a str>,
    pub(super) user_id: Option<UserId>,
    /// The address of the client, as the log shows it.
    pub(super) client: Option<IpNet>,
    pub(super) began: Instant,
}

impl Observed<'_> {
    /// Adds the id to the response, logs the request, and emits its signal.
    pub(super) fn finish(self, mut response: Response, bus: &EventBus) -> Response {
        let Self { id, trace, method, route, user_id, client, began } = self;
        let mut text = Uuid::encode_buffer();
        if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let (status, latency) = (response.status(), began.elapsed());
        tracing::info!(
            %method,
            route = route.unwrap_or("-"),
            status = status.as_u16(),
            microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            client = client.map(|address| display(shown(address))),
            request_id = %id,
            trace_id = trace.trace_id(),
            user_id = user_id.map(|user| display(user.0)),
            "responded"
        );
        bus.emit(&ApiRequestReceivedEvent {
            method: method.clone(),
            route: route.map(Arc::from),
            status,
            latency,
            user_id,
            request_id: id,
        });
        response
    }
}
