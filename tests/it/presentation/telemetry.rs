//! Traces and metrics at a collector, which reads them by the schema of OTLP.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as AnyValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value as Number};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use undercroft::application::jobs::job_queue;
use undercroft::infrastructure::adapters::{Mail, OtlpUrl};
use undercroft::infrastructure::events::HandledEvent;
use undercroft::presentation::telemetry::{self, Telemetry};
use undercroft::settings::{RateLimitSettings, Settings, TelemetrySettings};

use crate::support::http::order_of;
use crate::support::store::value;
use crate::support::{Shop, TestServer, eventually};

/// Whether the worker has begun to send e-mails.
const EMAILS_BEGAN: &str = "SELECT COUNT(*) FROM store_settings WHERE key = 'emails_since'";
const CAUSE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector.
struct Collector {
    url: OtlpUrl,
    status: Arc<AtomicU16>,
    /// The number of exports of spans that were refused.
    refused: Arc<AtomicU16>,
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<Metric>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/otlp/", listener.local_addr().unwrap()).parse().unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let (refused, spans, metrics) = (Arc::default(), Arc::default(), Arc::default());
        let collector = Self { url, status, refused, spans, metrics };
        let (status, refused) = (Arc::clone(&collector.status), Arc::clone(&collector.refused));
        let (spans, metrics) = (Arc::clone(&collector.spans), Arc::clone(&collector.metrics));
        let receive = async move |Path(signal): Path<String>, headers: HeaderMap, body: Bytes| {
            assert_eq!(headers["content-type"], "application/json");
            let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
            if !status.is_success() {
                refused.fetch_add(u16::from(signal == "traces"), Ordering::SeqCst);
                return status;
            }
            if signal == "traces" {
                let request: ExportTraceServiceRequest = by_schema(&body);
                let scopes = request.resource_spans.into_iter().flat_map(|resource| {
                    let service = text(&resource.resource.unwrap().attributes, "service.name");
                    assert_eq!(service, "undercroft");
                    resource.scope_spans
                });
                spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
            } else {
                let request: ExportMetricsServiceRequest = by_schema(&body);
                let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
                metrics.lock().unwrap().extend(scopes.flat_map(|scope| scope.metrics));
            }
            status
        };
        let router = Router::new().route("/otlp/v1/{signal}", post(receive));
        tokio::spawn(async { axum::serve(listener, router).await });
        collector
    }

    /// The settings of a store that exports to it.
    fn settings(&self) -> Settings {
        let metrics_every = Duration::from_millis(100);
        let telemetry = TelemetrySettings { otlp: Some(self.url.clone()), sampled: 1.0, metrics_every };
        let rate_limits = RateLimitSettings { enabled: false, ..RateLimitSettings::default() };
        Settings { telemetry, rate_limits, ..Settings::default() }
    }

    /// The spans of a trace, once there is one with each of these names.
    async fn spans(&self, trace_id: &str, names: &[&str]) -> Vec<Span> {
        for _ in 0..1200 {
            let mut spans = self.spans.lock().unwrap().clone();
            spans.retain(|span| hex(&span.trace_id) == trace_id);
            if names.iter().all(|name| spans.iter().any(|span| span.name == *name)) {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not all of {names:?} in {:#?}", self.spans.lock().unwrap());
    }

    /// The first span of a name.
    async fn span(&self, name: &str) -> Span {
        for _ in 0..1200 {
            let found = self.spans.lock().unwrap().iter().find(|span| span.name == name).cloned();
            if let Some(span) = found {
                return span;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no {name} in {:#?}", self.spans.lock().unwrap());
    }

    /// The first metric of a name that is accepted.
    async fn metric(&self, name: &str, accept: impl Fn(&Metric) -> bool) -> Metric {
        for _ in 0..1200 {
            let found = {
                let metrics = self.metrics.lock().unwrap();
                metrics.iter().rfind(|metric| metric.name == name && accept(metric)).cloned()
            };
            if let Some(metric) = found {
                return metric;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no such {name}");
    }
}

/// Reads a message by the schema, and asserts that the schema has each of its members.
fn by_schema<T: DeserializeOwned + Serialize>(body: &[u8]) -> T {
    let sent: Value = serde_json::from_slice(body).unwrap();
    let message: T = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {sent:#}"));
    let mut unknown = BTreeSet::new();
    compare("", &sent, &serde_json::to_value(&message).unwrap(), &mut unknown);
    assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
    message
}

/// Finds members that were not read. Empty values may be omitted when a message is written again.
fn compare(at: &str, sent: &Value, read: &Value, unknown: &mut BTreeSet<String>) {
    match sent {
        Value::Object(members) => {
            for (name, value) in members {
                let is_empty =
                    ["\"\"", "[]", "{}", "0", "0.0", "false", "\"0\""].contains(&&*value.to_string());
                match read.get(name) {
                    Some(read) => compare(&format!("{at}/{name}"), value, read, unknown),
                    None if is_empty => {}
                    None => drop(unknown.insert(format!("{at}/{name}"))),
                }
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                compare(at, item, &read[number], unknown);
            }
        }
        _ => {}
    }
}

/// The first span of a name.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The value of an attribute, empty if there is none.
fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|found| found.value.clone()?.value) {
        Some(AnyValue::StringValue(text)) => text,
        Some(AnyValue::IntValue(number)) => number.to_string(),
        Some(AnyValue::BoolValue(value)) => value.to_string(),
        None => String::new(),
        other => panic!("{name}: {other:?}"),
    }
}

on_both_engines!(a_collector_gets_the_spans_of_what_ended_just_before_the_stop, on_one_thread);
async fn a_collector_gets_the_spans_of_what_ended_just_before_the_stop(shop: &Shop) {
    let collector = Collector::start().await;
    let telemetry = Telemetry::start(&shop.store, &collector.settings().telemetry, "server");
    for number in 0..100 {
        shop.store.infrastructure.bus.emit(&HandledEvent {
            subscriber: "none",
            event_type: "order.paid".into(),
            event_id: uuid::Uuid::from_u128(number),
            trace: CAUSE.parse().unwrap(),
            duration: Duration::ZERO,
            succeeded: true,
        });
    }
    telemetry::end(telemetry).await;
    assert_eq!(collector.spans.lock().unwrap().len(), 100);
}

on_both_engines!(a_collector_gets_the_spans_of_a_request_and_of_what_it_caused);
async fn a_collector_gets_the_spans_of_a_request_and_of_what_it_caused(shop: &Shop) {
    let collector = Collector::start().await;
    let settings = collector.settings();
    let telemetry = Telemetry::start(&shop.store, &settings.telemetry, "server");
    let server = TestServer::start_with_all(shop.store.clone(), settings).await;
    let user = server.customer().await.with("traceparent", CAUSE);
    order_of(&user, shop.product().create().await).await;
    user.get("/v1/products/none").await.problem(404);
    server.guest().get("/none?email=ann@example.org").await.problem(404);

    let checkout = "POST /v1/carts/{id}/checkout";
    let names = [checkout, "authorize sandbox", "transaction", "process order.paid"];
    let spans = collector.spans("4bf92f3577b34da6a3ce929d0e0e4736", &names).await;
    let named = |name| named(&spans, name);
    let request = named(checkout);
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7");
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/carts/{id}/checkout"),
        ("http.response.status_code", "201"),
        ("url.scheme", "http"),
        ("error.type", ""),
    ] {
        assert_eq!(text(&request.attributes, name), value, "{name}");
    }
    let call = named("authorize sandbox");
    assert_eq!((call.kind(), &call.parent_span_id), (SpanKind::Client, &request.span_id));
    let handled = named("process order.paid");
    assert_eq!((handled.kind(), &handled.parent_span_id), (SpanKind::Consumer, &request.span_id));
    let works =
        spans.iter().filter(|span| span.name == "transaction" && span.parent_span_id == request.span_id);
    let systems: BTreeSet<_> = works.map(|span| text(&span.attributes, "db.system.name")).collect();
    let system = if shop.url.starts_with("sqlite:") { "sqlite" } else { "postgresql" };
    assert_eq!(systems.into_iter().collect::<Vec<_>>(), [system]);
    let ids: BTreeSet<_> = spans.iter().map(|span| hex(&span.span_id)).collect();
    assert_eq!(ids.len(), spans.len(), "each has an id of its own");
    for span in &spans {
        assert!(
            span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano,
            "{span:?}"
        );
    }

    server.end().await;
    telemetry::end(telemetry).await;
    let all = format!("{:?}", collector.spans.lock().unwrap());
    assert!(all.contains("\"GET\""), "a request without a route has a span, too: {all}");
    for personal in ["ann@", "email=", "tok_ok"] {
        assert!(!all.contains(personal), "{personal}");
    }
}

on_both_engines!(e_mails_and_webhooks_are_in_the_trace_of_their_cause_and_jobs_in_one_of_their_own);
async fn e_mails_and_webhooks_are_in_the_trace_of_their_cause_and_jobs_in_one_of_their_own(shop: &Shop) {
    let collector = Collector::start().await;
    let (settings, mut store) = (collector.settings(), shop.store.clone());
    let sender = "Shop <shop@example.com>".parse().unwrap();
    store.infrastructure.mail = Some(Mail::new(&"local:".parse().unwrap(), &sender).unwrap());
    store.infrastructure.sampled = settings.telemetry.sampled();
    let telemetry = Telemetry::start(&store, &settings.telemetry, "server");
    let server = TestServer::start_with_all(store.clone(), settings).await;
    // nothing listens there
    let endpoint = json!({"url": "http://127.0.0.1:9/hook", "event_types": ["order.paid"]});
    server.admin().await.post("/admin/v1/webhook-endpoints", endpoint).await.expect(201);
    let has_begun = async || value::<i64>(&shop.database, EMAILS_BEGAN, &[]).await > 0;
    eventually("an attempt of an e-mail", has_begun).await;
    let (user, verification) = (server.customer().await, "POST /v1/me/email-verification");
    let caused = user.with("traceparent", CAUSE);
    caused.post("/v1/me/email-verification", json!({})).await.expect(202);
    let spans = collector.spans("4bf92f3577b34da6a3ce929d0e0e4736", &[verification, "send mail"]).await;
    let (request, sent) = (named(&spans, verification), named(&spans, "send mail"));
    assert_eq!((sent.kind(), &sent.parent_span_id), (SpanKind::Client, &request.span_id));
    assert_eq!(text(&sent.attributes, "error.type"), "");

    let caused = user.with("traceparent", &CAUSE.replace("4bf9", "5cf9"));
    order_of(&caused, shop.product().create().await).await;
    let names = ["process order.paid", "send mail", "deliver webhook"];
    let spans = collector.spans("5cf92f3577b34da6a3ce929d0e0e4736", &names).await;
    let [handled, sent, delivered] = names.map(|name| named(&spans, name));
    assert_eq!(sent.parent_span_id, handled.parent_span_id);
    assert_eq!(delivered.parent_span_id, handled.parent_span_id);
    assert_eq!(text(&delivered.attributes, "error.type"), "unavailable");

    job_queue(&store).run("check_consistency", json!({}), None).await.unwrap();
    let job = collector.span("job check_consistency").await;
    assert_eq!((job.kind(), job.parent_span_id.len()), (SpanKind::Internal, 0));
    let spans = collector.spans(&hex(&job.trace_id), &["transaction"]).await;
    assert!(spans.iter().all(|span| *span == job || span.parent_span_id == job.span_id), "{spans:#?}");
    server.end().await;
    telemetry::end(telemetry).await;
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_has_no_spans() {
    let shop = Shop::on_sqlite(crate::support::ShopOptions::default()).await;
    let collector = Collector::start().await;
    let settings = collector.settings();
    let telemetry = Telemetry::start(&shop.store, &settings.telemetry, "server");
    let server = TestServer::start_with_all(shop.store.clone(), settings).await;
    let unsampled = server.guest().with("traceparent", &CAUSE.replace("-01", "-00"));
    unsampled.get("/v1/products").await.expect(200);
    server.guest().get("/v1/categories").await.expect(200);
    server.end().await;
    telemetry::end(telemetry).await;
    let names: Vec<_> = collector.spans.lock().unwrap().iter().map(|span| span.name.clone()).collect();
    assert_eq!(names, ["GET /v1/categories"]);
}

#[tokio::test]
async fn metrics_are_exported_and_what_a_collector_refuses_is_counted() {
    let shop = Shop::on_sqlite(crate::support::ShopOptions::default()).await;
    let collector = Collector::start().await;
    collector.status.store(503, Ordering::SeqCst);
    let settings = collector.settings();
    let _telemetry = Telemetry::start(&shop.store, &settings.telemetry, "server");
    let server = TestServer::start_with_all(shop.store.clone(), settings).await;
    let user = server.customer().await;
    order_of(&user, shop.product().create().await).await;
    user.get("/v1/products/none").await.problem(404);

    let has_refused = async || collector.refused.load(Ordering::SeqCst) > 0;
    eventually("a request that the collector refused", has_refused).await;
    collector.status.store(200, Ordering::SeqCst);
    let lost = |metric: &Metric| {
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        let spans = sum.data_points.iter().find(|point| text(&point.attributes, "signal") == "spans");
        assert!(sum.is_monotonic);
        matches!(spans.unwrap().value, Some(Number::AsDouble(number)) if number > 0.0)
    };
    collector.metric("undercroft_telemetry_lost", lost).await;

    let counts = |label: &'static str, value: &'static str| {
        move |metric: &Metric| {
            let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
            sum.data_points.iter().any(|point| text(&point.attributes, label) == value)
        }
    };
    collector.metric("undercroft_events_published", counts("type", "order.placed")).await;
    collector.metric("undercroft_http_problems", counts("code", "product_not_found")).await;
    let durations = collector.metric("undercroft_http_request_duration_seconds", |_| true).await;
    let Some(Data::Histogram(histogram)) = durations.data else { panic!("{durations:?}") };
    let point = &histogram.data_points[0];
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
    server.end().await;
}
