//! Metrics of the process and of the store, in the text format of `OpenMetrics`, on a listener of their own.
//!
//! Signals of the bus are counted as they are emitted (`signal_metrics.rs`); the state of the store is read when the
//! metrics are requested (`state_metrics.rs`), also that of the caches (`cache_metrics.rs`);
//! `telemetry_metrics.rs` has what a collector did not accept.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

mod cache_metrics;
mod signal_metrics;
mod state_metrics;
mod telemetry_metrics;

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::signal_metrics::SignalMetrics;
pub(super) use self::signal_metrics::method_label;
use self::state_metrics::StateMetrics;
pub(super) use self::telemetry_metrics::LostTelemetry;
use crate::application::Store;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
use crate::infrastructure::middleware::Chain;
use crate::presentation::http::{own_host::is_to_this_machine, server};
use crate::settings::HttpSettings;

/// The media type of the text format of `OpenMetrics`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The most connections to the listener of the metrics.
const CONNECTIONS: u32 = 16;

/// The metrics of a store. What happens from its creation on is counted.
pub struct Metrics {
    store: Store,
    counted: SignalMetrics,
    state: StateMetrics,
    /// What the collector of telemetry did not accept, if there is one.
    lost: Option<LostTelemetry>,
}

impl Metrics {
    /// Returns the metrics of a store.
    pub fn new(store: Store) -> Self {
        let counted = SignalMetrics::new(&store.infrastructure.bus);
        Self { store, counted, state: StateMetrics::default(), lost: None }
    }

    /// Shows also what the collector of telemetry did not accept, if there is one.
    pub(super) fn with_lost(self, lost: Option<LostTelemetry>) -> Self {
        Self { lost, ..self }
    }

    /// Responds to `GET /metrics` on `listener` until `stop` is cancelled. At an address that only this machine
    /// reaches, requests have to be sent to a name of it.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let most = HttpSettings::default().max_connections;
        let http = HttpSettings {
            max_connections: NonZeroU32::new(CONNECTIONS).unwrap_or(most),
            ..HttpSettings::default()
        };
        let context = self.store.database().context().clone();
        let metrics = Arc::new(self);
        let is_local = listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
        let route = if is_local { get(respond).layer(from_fn(only_to_this_machine)) } else { get(respond) };
        let router = Router::new().route("/metrics", route).with_state(Arc::clone(&metrics));
        // these requests are not logged, and their signals are no metrics of the store
        let serving = server::serve(listener, router, Chain::default(), &http, context, stop);
        tokio::select! {
            _ = serving => {}
            () = metrics.count() => {}
        }
    }

    /// Counts what happens. Does not end.
    pub(super) async fn count(&self) {
        self.counted.count().await;
    }

    /// Returns the present time of the store.
    pub(super) fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// Returns the metrics as text.
    pub(super) async fn text(&self) -> String {
        let state = self.state.read(&self.store).await;
        let lost = self.lost.as_ref().map(LostTelemetry::registry);
        let mut text = String::new();
        // writing to a text does not fail
        let _ = self.encode([Some(&state), lost.as_ref()], &mut text);
        text
    }

    fn encode(&self, others: [Option<&Registry>; 2], text: &mut String) -> std::fmt::Result {
        encode_registry(text, self.counted.registry())?;
        for registry in others.into_iter().flatten() {
            encode_registry(text, registry)?;
        }
        encode_eof(text)
    }
}

async fn respond(State(metrics): State<Arc<Metrics>>) -> ([(http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text().await)
}

/// Refuses a request that was sent to another name than those of this machine: with one that leads to this machine, a
/// page of another site would read the metrics in a browser here.
async fn only_to_this_machine(request: Request, next: Next) -> Response {
    if is_to_this_machine(request.headers()) {
        next.run(request).await
    } else {
        Failure::from(UnauthorizedAccessException::ForeignOrigin).into_response()
    }
}

/// Returns an empty registry, in which every metric has the prefix `undercroft`.
pub(super) fn registry() -> Registry {
    Registry::with_prefix("undercroft")
}
