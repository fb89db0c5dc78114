//! The handling of a request: the router responds, or a failure if a handler panics or exceeds its time.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::phase::{Phase, PhaseTracker};
use crate::domain::context::Context;
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::EventBus;
use crate::infrastructure::exceptions::{Failure, RejectedRequest, Technical, TechnicalKind, with_instance};
use crate::infrastructure::middleware::Client;
use crate::presentation::http::observe::{Observed, cause, logged_address};
use crate::settings::ClientAddress;

/// The tracker of the connection of a request: an extension of the request.
#[derive(Clone)]
pub(super) struct Tracked(pub(super) Arc<PhaseTracker>);

/// The ids of failures, what the log shows of the addresses of clients, and the bus of their signals.
struct Handling {
    client_address: ClientAddress,
    context: Context,
    bus: EventBus,
}

/// Surrounds all routes of a router, so that a handler that panics or exceeds its time leads to a response.
pub(super) fn with_failures(
    router: Router,
    client_address: ClientAddress,
    context: Context,
    bus: EventBus,
) -> Router {
    router.layer(from_fn_with_state(Arc::new(Handling { client_address, context, bus }), handle))
}

async fn handle(State(handling): State<Arc<Handling>>, request: Request, next: Next) -> Response {
    let (began, method, cause) = (Instant::now(), request.method().clone(), cause(request.headers()));
    let client = request.extensions().get();
    let client = client.and_then(|client: &Client| logged_address(handling.client_address, client));
    let tracked = request.extensions().get::<Tracked>().cloned();
    let phase = || tracked.as_ref().map(|Tracked(tracker)| tracker.phase());
    let mut response = pin!(next.run(request));
    let handled = poll_fn(|cx| match phase() {
        Some(Phase::BodyLate) => Poll::Ready(Err(Failure::from(RejectedRequest::TooSlow))),
        Some(Phase::HandlerLate) => {
            let failure = Technical::new(TechnicalKind::TimedOut, "the handler exceeded its time");
            Poll::Ready(Err(failure.into()))
        }
        _ => match catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx))) {
            Ok(response) => response.map(Ok),
            Err(panic) => Poll::Ready(Err(Technical::internal(panic_message(&*panic)).into())),
        },
    });

    handled.await.unwrap_or_else(|failure| {
        let id = handling.context.ids.uuid();
        let trace = TraceContext::of_request(id, cause);
        let observed = Observed { id, trace, method: &method, route: None, user_id: None, client, began };
        observed.finish(with_instance(failure.into_response(), id), &handling.bus)
    })
}

/// The message of a panic, for the log.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("without a message"))
}
