//! `undercroft worker`: the worker without the HTTP server, until a signal stops it.

use tokio_util::sync::CancellationToken;

use super::{CliError, open_store::open_store, signals::Signals};
use crate::application::jobs::worker::work;
use crate::infrastructure::repositories::Setup;
use crate::settings::Settings;

/// The arguments of `worker`.
#[derive(clap::Args, Debug)]
pub struct Worker {}

impl Worker {
    /// Works until SIGINT or SIGTERM. What it does then is dropped, which is safe; see [`work`].
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let mut signals = Signals::listen().map_err(CliError::Signals)?;
        let store = open_store(&settings, Setup::IfEmpty).await?;
        let stop = CancellationToken::new();
        tracing::info!("working");
        let mut worker = tokio::spawn(work(store, stop.clone()));
        let worked = tokio::select! {
            // it ends by itself only because of an error
            worked = &mut worker => worked,
            signal = signals.next() => {
                tracing::info!(signal, "stopping");
                stop.cancel();
                worker.await
            }
        };
        worked.map_err(CliError::Worker)
    }
}
