//! What the commands share that run until a signal stops them: the listener of the metrics, the look at Redis, the
//! warning of check mode, and the record of the end.

use std::mem;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{CliError, logging, signals::Signals};
use crate::application::Store;
use crate::application::jobs::shutdown;
use crate::infrastructure::events::DrainedRequests;
use crate::presentation::metrics::Metrics;
use crate::presentation::telemetry::Telemetry;
use crate::settings::Settings;

/// The longest time to record the end of a service.
const RECORD: Duration = Duration::from_secs(5);

/// The listener of the metrics, if the settings have an address for it.
pub(super) struct MetricsListener(Option<TcpListener>);

impl MetricsListener {
    /// Listens on the address of the settings.
    pub(super) async fn bind(settings: &Settings) -> Result<Self, CliError> {
        let Some(address) = settings.metrics.listen else { return Ok(Self(None)) };
        let failed = |source| CliError::Listen { setting: "metrics.listen", address, source };
        TcpListener::bind(address).await.map(|listener| Self(Some(listener))).map_err(failed)
    }

    /// Serves the metrics of a store until the task is dropped, with what its telemetry lost. The warnings and errors
    /// of the log are signals from now on, also for the telemetry, which is started before.
    pub(super) fn serve(self, store: &Store, telemetry: Option<&Telemetry>) -> Option<AbortOnDropHandle<()>> {
        let serving = self.0.map(|listener| {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "metrics are served");
            }
            let metrics = Metrics::new(store.clone()).with_lost(telemetry.map(Telemetry::lost));
            AbortOnDropHandle::new(tokio::spawn(metrics.serve(listener, CancellationToken::new())))
        });
        // those that were logged before are emitted now, to the metrics that count them
        logging::emit_by(&store.infrastructure.bus);
        serving
    }
}

/// Asks each Redis of a store, in the background, so that the log says at the start if one does not respond.
pub(super) fn ask_redis(store: &Store) {
    let connections = store.infrastructure.redis_connections().into_iter();
    tokio::spawn(join_all(connections.map(|redis| async move { redis.ask().await })));
}

/// Warns of check mode, in which each use of a cache costs a load.
pub(super) fn warn_of_check_mode(settings: &Settings) {
    if settings.caches.verify {
        tracing::warn!("caches.verify: each use of a cache is compared with the database");
    }
}

/// Runs a service and then `end`, with the store, the outcome and the reason of the end. The first signal cancels
/// `stop`; a second one ends both at once.
pub(super) async fn until_signals<T>(
    store: Store,
    mut signals: Signals,
    stop: &CancellationToken,
    service: impl Future<Output = T>,
    end: impl AsyncFnOnce(&Store, T, &'static str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let first = OnceLock::new();
    let second = async {
        let signal = signals.next().await;
        tracing::info!(signal, "stopping");
        // it is the only one that sets it
        let _ = first.set(signal);
        stop.cancel();
        signals.next().await;
    };
    let ended = async {
        let outcome = service.await;
        end(&store, outcome, first.get().copied().unwrap_or("worker_failed")).await
    };
    tokio::select! {
        ended = ended => return ended,
        () = second => {}
    }
    // it is not closed: that would wait for what its writer has to do. Nothing that was committed is lost
    mem::forget(store);
    Err(CliError::CutOff)
}

/// Records the end of a service, in bounded time. A failure is logged: it does not keep the service from ending.
pub(super) async fn record_end(
    store: &Store,
    service: &str,
    reason: &str,
    requests: Option<DrainedRequests>,
) {
    match timeout(RECORD, shutdown::record(store, service, reason, requests)).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            tracing::warn!(failure = %failure.report(), "the event of the end was not published");
        }
        Err(_) => tracing::warn!("the event of the end was not published in {} seconds", RECORD.as_secs()),
    }
}
