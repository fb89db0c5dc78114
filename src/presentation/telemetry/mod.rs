//! Traces and metrics for a collector of OpenTelemetry, by OTLP over HTTP in JSON.
//!
//! Spans are made of signals (`spans.rs`), in the names of the semantic conventions; metrics are those of
//! `presentation/metrics`, converted (`open_metrics.rs`). Nothing waits for the collector: what it does not accept is
//! lost, and counted in the metric `telemetry_lost` (`presentation/metrics`).

mod attributes;
mod open_metrics;
mod spans;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use self::attributes::{attributes, nanoseconds};
use self::spans::Spans;
use super::metrics::{LostTelemetry, Metrics};
use crate::application::Store;
use crate::infrastructure::adapters::{OtlpExporter, OtlpSignal};
use crate::infrastructure::exceptions::with_causes;
use crate::settings::TelemetrySettings;

/// How often spans are exported.
const SPANS_EVERY: Duration = Duration::from_secs(1);
/// The most spans that wait for an export; further ones are lost.
const MOST_SPANS: usize = 4096;
/// The longest time to export the last spans at the end.
const END: Duration = Duration::from_secs(2);

/// A running export; it ends when this is dropped.
pub struct Telemetry {
    stop: CancellationToken,
    running: JoinHandle<()>,
    lost: LostTelemetry,
}

/// What the exports of a process share.
struct Exports {
    exporter: OtlpExporter,
    /// The resource of all that is exported.
    resource: Value,
    lost: LostTelemetry,
    /// Whether the last export failed, of spans or of metrics.
    failing: AtomicBool,
}

impl Telemetry {
    /// Exports the traces and metrics of a store from now on, if the settings name a collector. `service` is the part
    /// of the store that the process is.
    pub fn start(store: &Store, settings: &TelemetrySettings, service: &'static str) -> Option<Self> {
        let collector = settings.otlp.clone()?;
        tracing::info!(?collector, sampled = settings.sampled, "traces and metrics are exported");
        let exporter = OtlpExporter::new(collector, &store.infrastructure.authorities);
        let instance = store.database().context().ids.uuid().to_string();
        let resource = json!({"attributes": attributes([
            ("service.name", "undercroft".into()),
            ("service.version", env!("CARGO_PKG_VERSION").into()),
            ("service.instance.id", instance.into()),
            ("undercroft.process", service.into()),
        ])});
        let lost = LostTelemetry::new();
        let exports = Exports { exporter, resource, lost: lost.clone(), failing: AtomicBool::new(false) };
        let (exports, spans) = (Arc::new(exports), Spans::new(store));
        let metrics = Metrics::new(store.clone()).with_lost(Some(lost.clone()));
        let (stop, every) = (CancellationToken::new(), settings.metrics_every);
        let ended = stop.clone();
        let running = tokio::spawn(async move {
            let began = metrics.now();
            tokio::select! {
                () = export_spans(&exports, spans, ended) => {}
                () = export_metrics(&exports, &metrics, (began, every)) => {}
                () = metrics.count() => {}
            }
            // what was counted since the last time
            exports.send_metrics(&metrics, began).await;
        });
        Some(Self { stop, running, lost })
    }

    /// Returns what the collector did not accept, which is counted from now on.
    pub(super) fn lost(&self) -> LostTelemetry {
        self.lost.clone()
    }
}

/// Exports the last spans and metrics, in bounded time.
pub async fn end(telemetry: Option<Telemetry>) {
    if let Some(mut telemetry) = telemetry {
        telemetry.stop.cancel();
        // what takes longer is lost
        let _ = timeout(END, &mut telemetry.running).await;
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Exports spans until `stop` is cancelled. During an export, further spans are collected.
async fn export_spans(exports: &Arc<Exports>, mut spans: Spans, stop: CancellationToken) {
    let (mut waiting, mut ticks) = (Vec::new(), interval(SPANS_EVERY));
    let mut sending: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            span = spans.next() => exports.keep(&mut waiting, span),
            _ = ticks.tick() => {
                if !waiting.is_empty() && sending.as_ref().is_none_or(JoinHandle::is_finished) {
                    let (exports, spans) = (Arc::clone(exports), std::mem::take(&mut waiting));
                    sending = Some(tokio::spawn(async move { exports.send_spans(spans).await }));
                }
            }
            () = stop.cancelled() => {
                if let Some(sending) = sending {
                    // a task that panicked has sent nothing
                    let _ = sending.await;
                }
                for span in spans.take_all() {
                    exports.keep(&mut waiting, span);
                }
                if !waiting.is_empty() {
                    exports.send_spans(waiting).await;
                }
                return;
            }
        }
    }
}

/// Exports metrics. Does not end.
async fn export_metrics(exports: &Exports, metrics: &Metrics, (began, every): (Timestamp, Duration)) {
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        exports.send_metrics(metrics, began).await;
    }
}

impl Exports {
    /// Adds a span to those that wait for an export, if there is room.
    fn keep(&self, waiting: &mut Vec<Value>, span: Value) {
        if waiting.len() < MOST_SPANS {
            waiting.push(span);
        } else {
            self.lost.add_spans(1);
        }
    }

    async fn send_spans(&self, spans: Vec<Value>) {
        let count = spans.len() as u64;
        let scope = json!([{"scope": scope(), "spans": spans}]);
        let body = json!({"resourceSpans": [{"resource": self.resource, "scopeSpans": scope}]});
        if !self.send(OtlpSignal::Traces, &body).await {
            self.lost.add_spans(count);
        }
    }

    /// Sends what was counted since a time.
    async fn send_metrics(&self, metrics: &Metrics, began: Timestamp) {
        let text = metrics.text().await;
        let metrics = open_metrics::converted(&text, &nanoseconds(began), &nanoseconds(metrics.now()));
        let count = metrics.len() as u64;
        let scope = json!([{"scope": scope(), "metrics": metrics}]);
        let body = json!({"resourceMetrics": [{"resource": self.resource, "scopeMetrics": scope}]});
        if !self.send(OtlpSignal::Metrics, &body).await {
            self.lost.add_metrics(count);
        }
    }

    /// Sends an export; returns whether the collector took it. The first failure after a success is logged.
    async fn send(&self, signal: OtlpSignal, body: &Value) -> bool {
        let sent = self.exporter.export(signal, body.to_string().into_bytes()).await;
        let was_failing = self.failing.swap(sent.is_err(), Relaxed);
        match sent {
            Ok(()) => true,
            Err(error) => {
                if !was_failing {
                    let error = with_causes(&error).to_string();
                    tracing::warn!(error, "the collector did not accept traces or metrics, which are lost");
                }
                false
            }
        }
    }
}

/// The scope of all that is exported.
fn scope() -> Value {
    json!({"name": "undercroft", "version": env!("CARGO_PKG_VERSION")})
}
