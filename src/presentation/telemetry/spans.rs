//! The spans of signals, by the semantic conventions of OpenTelemetry. Only sampled traces have spans.
//!
//! The span of a request has no `url.path` and no query: ids and queries may be personal data. It has `http.route`.
//!
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::attributes::{attributes, nanoseconds};
use crate::application::Store;
use crate::domain::context::Context;
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::jobs::AttemptedJob;
use crate::infrastructure::events::{
    ApiRequestReceivedEvent, CallOutcome, HandledEvent, Subscription, ThirdPartyApiResponseEvent,
};
use crate::infrastructure::repositories::{EndedWork, Engine};
use crate::presentation::metrics::method_label;

/// The kinds of spans.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const CONSUMER: u8 = 5;
/// The status of a span that failed.
const ERROR: u8 = 2;

/// The spans of a store.
pub(super) struct Spans {
    context: Context,
    requests: Subscription<ApiRequestReceivedEvent>,
    calls: Subscription<ThirdPartyApiResponseEvent>,
    works: Subscription<EndedWork>,
    handled: Subscription<HandledEvent>,
    jobs: Subscription<AttemptedJob>,
}

/// What a span has beside its place in the trace.
struct Described {
    name: String,
    kind: u8,
    attributes: Value,
    failed: bool,
}

impl Spans {
    /// Returns the spans of what happens in a store from now on.
    pub(super) fn new(store: &Store) -> Self {
        let bus = &store.infrastructure.bus;
        Self {
            context: store.database().context().clone(),
            requests: bus.subscribe(),
            calls: bus.subscribe(),
            works: bus.subscribe(),
            handled: bus.subscribe(),
            jobs: bus.subscribe(),
        }
    }

    /// Waits for the next span.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            let span = tokio::select! {
                request = self.requests.next() => of_request(&request),
                call = self.calls.next() => self.of_traced_call(&call),
                work = self.works.next() => self.of_traced_work(&work),
                event = self.handled.next() => self.of_traced_event(&event),
                job = self.jobs.next() => Some(self.of_job(&job)),
            };
            if let Some(span) = span {
                return span;
            }
        }
    }

    /// Returns the spans of the signals that wait.
    pub(super) fn take_all(&mut self) -> Vec<Value> {
        let (calls, works) = (self.calls.take_all(), self.works.take_all());
        let (handled, jobs) = (self.handled.take_all(), self.jobs.take_all());
        let mut spans: Vec<_> = self.requests.take_all().iter().filter_map(of_request).collect();
        spans.extend(calls.iter().filter_map(|call| self.of_traced_call(call)));
        spans.extend(works.iter().filter_map(|work| self.of_traced_work(work)));
        spans.extend(handled.iter().filter_map(|event| self.of_traced_event(event)));
        spans.extend(jobs.iter().map(|job| self.of_job(job)));
        spans
    }

    fn of_traced_call(&self, call: &ThirdPartyApiResponseEvent) -> Option<Value> {
        self.child(call.trace?, call.latency, of_call(call))
    }

    fn of_traced_work(&self, work: &EndedWork) -> Option<Value> {
        self.child(work.trace?, work.duration, of_work(work))
    }

    fn of_traced_event(&self, event: &HandledEvent) -> Option<Value> {
        self.child(event.trace, event.duration, of_handled(event))
    }

    /// Returns the span of an operation within that of a trace, which has just ended.
    fn child(&self, parent: TraceContext, duration: Duration, described: Described) -> Option<Value> {
        if !parent.is_sampled() {
            return None;
        }
        let mut id = [0; 8];
        self.context.ids.secret(&mut id);
        let id = format!("{:016x}", u64::from_ne_bytes(id).max(1));
        Some(span(&parent.trace_id(), &id, Some(parent.span_id()), self.times(duration), described))
    }

    /// Returns the span of an attempt of a job, which has just ended: the first of its trace.
    fn of_job(&self, job: &AttemptedJob) -> Value {
        let AttemptedJob { name, job_id, attempt, trace, duration, failed } = job;
        let attributes = attributes([
            ("undercroft.job_id", job_id.to_string().into()),
            ("undercroft.attempt", (*attempt).into()),
            ("error.type", failed.then_some("failed").into()),
        ]);
        let described =
            Described { name: format!("job {name}"), kind: INTERNAL, attributes, failed: *failed };
        span(&trace.trace_id(), &trace.span_id(), None, self.times(*duration), described)
    }

    /// Returns the start and the end of what has just ended after this time.
    fn times(&self, duration: Duration) -> (Timestamp, Timestamp) {
        let end = self.context.clock.now();
        (end.saturating_sub(signed(duration)).unwrap_or(end), end)
    }
}

/// Returns the span of a request, the server's.
fn of_request(request: &ApiRequestReceivedEvent) -> Option<Value> {
    let ApiRequestReceivedEvent { method, route, status, latency, request_id, .. } = request;
    let ApiRequestReceivedEvent { received_at, trace, caused_by, is_https, .. } = request;
    if !trace.is_sampled() {
        return None;
    }
    let known = method_label(method);
    let named = known.unwrap_or("HTTP");
    let failed = status.is_some_and(|status| status.is_server_error());
    let status = status.map(|status| status.as_u16());
    let error = status.filter(|_| failed).map(|status| status.to_string());
    let attributes = attributes([
        ("http.request.method", known.unwrap_or("_OTHER").into()),
        ("http.route", route.as_deref().into()),
        ("http.response.status_code", status.into()),
        ("url.scheme", if *is_https { "https" } else { "http" }.into()),
        ("error.type", error.into()),
        ("undercroft.request_id", request_id.to_string().into()),
    ]);
    let name = route.as_ref().map_or_else(|| named.to_owned(), |route| format!("{named} {route}"));
    let end = received_at.saturating_add(signed(*latency)).unwrap_or(*received_at);
    let parent = caused_by.map(|cause| cause.span_id());
    let described = Described { name, kind: SERVER, attributes, failed };
    Some(span(&trace.trace_id(), &trace.span_id(), parent, (*received_at, end), described))
}

/// Describes a call of a vendor, a mail server or a webhook endpoint.
fn of_call(call: &ThirdPartyApiResponseEvent) -> Described {
    let ThirdPartyApiResponseEvent { vendor, operation, status, outcome, attempt, .. } = call;
    let failed = *outcome != CallOutcome::Succeeded;
    let attributes = attributes([
        ("peer.service", (*vendor).into()),
        ("undercroft.operation", (*operation).into()),
        ("undercroft.attempt", (*attempt).into()),
        ("http.response.status_code", (*status).into()),
        ("error.type", failed.then(|| outcome.as_str()).into()),
    ]);
    Described { name: format!("{operation} {vendor}"), kind: CLIENT, attributes, failed }
}

/// Describes a unit of work. One that was rolled back may be that of a refusal, which is no error.
fn of_work(work: &EndedWork) -> Described {
    let system = match work.engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgresql",
    };
    let attributes = attributes([
        ("db.system.name", system.into()),
        ("db.operation.name", "transaction".into()),
        ("undercroft.committed", work.committed.into()),
    ]);
    Described { name: "transaction".into(), kind: CLIENT, attributes, failed: false }
}

/// Describes the handling of an event by a subscriber.
fn of_handled(event: &HandledEvent) -> Described {
    let attributes = attributes([
        ("messaging.system", "undercroft".into()),
        ("messaging.operation.name", "process".into()),
        ("messaging.operation.type", "process".into()),
        ("messaging.destination.name", event.event_type.as_str().into()),
        ("messaging.consumer.group.name", event.subscriber.into()),
        ("messaging.message.id", event.event_id.to_string().into()),
        ("error.type", (!event.succeeded).then_some("failed").into()),
    ]);
    let name = format!("process {}", event.event_type);
    Described { name, kind: CONSUMER, attributes, failed: !event.succeeded }
}

fn span(
    trace_id: &str,
    id: &str,
    parent: Option<String>,
    (start, end): (Timestamp, Timestamp),
    described: Described,
) -> Value {
    let Described { name, kind, attributes, failed } = described;
    let mut span = json!({
        "traceId": trace_id,
        "spanId": id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(start),
        "endTimeUnixNano": nanoseconds(end),
        "attributes": attributes,
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.into();
    }
    if failed {
        span["status"] = json!({"code": ERROR});
    }
    span
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
