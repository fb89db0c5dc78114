//! The metrics that signals of the bus are counted in.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::registry;
use super::state_metrics::SubscriberLabels;
use crate::infrastructure::events::{
    ApiRequestReceivedEvent, EventBus, HandlerFailure, LogEvent, MessageQueueEvent, RefusedHeadEvent,
    Subscription, ThirdPartyApiResponseEvent,
};
use crate::infrastructure::exceptions::ProblemCode;
use crate::infrastructure::repositories::EndedWork;

/// The upper bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 15] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The pause after requests were counted. Fewer than the queue holds arrive in it.
const PAUSE: Duration = Duration::from_millis(10);

/// The metrics of signals.
pub(super) struct SignalMetrics {
    registry: Registry,
    subscriptions: Mutex<Subscriptions>,
    requests: Durations<RequestLabels>,
    problems: Family<ProblemLabels, Counter>,
    refused_heads: Family<HeadLabels, Counter>,
    published: Family<EventLabels, Counter>,
    calls: Durations<CallLabels>,
    messages: Family<MessageLabels, Counter>,
    failures: Family<SubscriberLabels, Counter>,
    lines: Family<LineLabels, Counter>,
}

/// The subscriptions whose signals are counted.
struct Subscriptions {
    requests: Subscription<ApiRequestReceivedEvent>,
    heads: Subscription<RefusedHeadEvent>,
    calls: Subscription<ThirdPartyApiResponseEvent>,
    messages: Subscription<MessageQueueEvent>,
    failures: Subscription<HandlerFailure>,
    lines: Subscription<LogEvent>,
    works: Subscription<EndedWork>,
}

/// Histograms of durations by their labels.
type Durations<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Cow<'static, str>,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabels {
    code: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeadLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    vendor: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    broker: &'static str,
    direction: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LineLabels {
    level: &'static str,
}

impl SignalMetrics {
    /// Returns the metrics of the signals that are emitted from now on, while [`SignalMetrics::count`] runs.
    pub(super) fn new(bus: &EventBus) -> Self {
        let subscriptions = Subscriptions {
            requests: bus.subscribe(),
            heads: bus.subscribe(),
            calls: bus.subscribe(),
            messages: bus.subscribe(),
            failures: bus.subscribe(),
            lines: bus.subscribe(),
            works: bus.subscribe(),
        };
        let mut metrics = Self {
            registry: registry(),
            subscriptions: Mutex::new(subscriptions),
            requests: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            problems: Family::default(),
            refused_heads: Family::default(),
            published: Family::default(),
            calls: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            messages: Family::default(),
            failures: Family::default(),
            lines: Family::default(),
        };
        metrics.register();
        for level in ["warn", "error"] {
            drop(metrics.lines.get_or_create(&LineLabels { level }));
        }
        metrics
    }

    fn register(&mut self) {
        let Self {
            registry,
            requests,
            problems,
            refused_heads,
            published,
            calls,
            messages,
            failures,
            lines,
            ..
        } = self;
        registry.register_with_unit(
            "http_request_duration",
            "The time from the head of a request to that of its response",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register(
            "http_problems",
            "The responses that are problem documents, by their code, such as product_out_of_stock",
            problems.clone(),
        );
        registry.register(
            "http_refused_heads",
            "The requests whose head was malformed or too large, so that they have no route",
            refused_heads.clone(),
        );
        registry.register(
            "events_published",
            "The events that this process published, such as order.placed and payment.failed",
            published.clone(),
        );
        registry.register_with_unit(
            "third_party_call_duration",
            "The duration of a call of a payment provider, a webhook endpoint or the mail server",
            Unit::Seconds,
            calls.clone(),
        );
        registry.register(
            "broker_messages",
            "The messages that were published to a broker or consumed from it",
            messages.clone(),
        );
        registry.register(
            "handler_failures",
            "The attempts of a subscriber's handlers that failed",
            failures.clone(),
        );
        registry.register("log_lines", "The warnings and errors that were logged", lines.clone());
    }

    /// Returns the registry of the metrics.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts signals. Does not end.
    pub(super) async fn count(&self) {
        let mut subscriptions = self.subscriptions.lock().await;
        let Subscriptions { requests, heads, calls, messages, failures, lines, works } = &mut *subscriptions;
        tokio::join!(
            async {
                loop {
                    self.count_request(requests.next().await);
                    while let Some(request) = requests.take() {
                        self.count_request(request);
                    }
                    // to be woken for each request would cost more than to count it
                    sleep(PAUSE).await;
                }
            },
            async {
                loop {
                    let RefusedHeadEvent { is_too_large } = heads.next().await;
                    let reason = if is_too_large { "too_large" } else { "malformed" };
                    self.refused_heads.get_or_create(&HeadLabels { reason }).inc();
                }
            },
            async {
                loop {
                    self.count_call(&calls.next().await);
                }
            },
            async {
                loop {
                    self.count_message(&messages.next().await);
                }
            },
            async {
                loop {
                    let HandlerFailure { subscriber } = failures.next().await;
                    self.failures.get_or_create(&SubscriberLabels { subscriber }).inc();
                }
            },
            async {
                loop {
                    let LogEvent { level, .. } = lines.next().await;
                    self.lines.get_or_create(&LineLabels { level }).inc();
                }
            },
            async {
                loop {
                    for r#type in works.next().await.published {
                        self.published.get_or_create(&EventLabels { r#type }).inc();
                    }
                }
            },
        );
    }

    fn count_request(&self, request: ApiRequestReceivedEvent) {
        let labels = RequestLabels {
            method: method_label(&request.method).unwrap_or("other"),
            route: route_label(request.route),
            status: request.status.map_or("none", class_label),
        };
        self.requests.get_or_create(&labels).observe(request.latency.as_secs_f64());
        if let Some(ProblemCode(code)) = request.problem {
            self.problems.get_or_create(&ProblemLabels { code }).inc();
        }
    }

    fn count_call(&self, call: &ThirdPartyApiResponseEvent) {
        let ThirdPartyApiResponseEvent { vendor, operation, outcome, latency, .. } = *call;
        let labels = CallLabels { vendor, operation, outcome: outcome.as_str() };
        self.calls.get_or_create(&labels).observe(latency.as_secs_f64());
    }

    fn count_message(&self, message: &MessageQueueEvent) {
        let MessageQueueEvent { broker, direction, outcome, .. } = *message;
        let labels = MessageLabels { broker, direction: direction.as_str(), outcome: outcome.as_str() };
        self.messages.get_or_create(&labels).inc();
    }
}

/// Returns the label of a method. Clients can invent methods: unknown ones have none.
pub(in crate::presentation) fn method_label(method: &Method) -> Option<&'static str> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS.into_iter().find(|known| method == known)
}

/// Returns the label of a route, `none` for requests without one.
fn route_label(route: Option<Arc<str>>) -> Cow<'static, str> {
    route.map_or(Cow::Borrowed("none"), |route| Cow::Owned(route.as_ref().to_owned()))
}

/// Returns the label of the class of a status.
fn class_label(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
