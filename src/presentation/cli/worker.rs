//! `undercroft worker`: the worker without the HTTP server, until a signal stops it.

use tokio_util::sync::CancellationToken;

use super::service::{MetricsListener, ask_redis, record_end, until_signals, warn_of_check_mode};
use super::{CliError, open_store::open_store, signals::Signals};
use crate::application::jobs::worker::work;
use crate::infrastructure::repositories::Setup;
use crate::presentation::telemetry::{Telemetry, end};
use crate::settings::Settings;

/// The arguments of `worker`.
#[derive(clap::Args, Debug)]
pub struct Worker {}

impl Worker {
    /// Works until SIGINT or SIGTERM. What it does then is dropped, which is safe; see [`work`]. A second signal ends
    /// it at once.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let signals = Signals::listen().map_err(CliError::Signals)?;
        warn_of_check_mode(&settings);
        let metrics = MetricsListener::bind(&settings).await?;
        let store = open_store(&settings, Setup::IfEmpty).await?;
        ask_redis(&store);
        let telemetry = Telemetry::start(&store, &settings.telemetry, "worker");
        let _metrics = metrics.serve(&store, telemetry.as_ref());
        let stop = CancellationToken::new();
        let working = tokio::spawn(work(store.clone(), stop.clone()));
        tracing::info!("working");
        until_signals(store, signals, &stop, working, async |store, worked, reason| {
            record_end(store, "worker", reason, None).await;
            end(telemetry).await;
            tracing::info!(reason, "stopped");
            worked.map_err(CliError::Worker)
        })
        .await
    }
}
