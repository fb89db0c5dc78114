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
        tokio::select! {
            () = work(store, stop) => {}
            signal = signals.next() => tracing::info!(signal, "stopped"),
        }
        Ok(())
    }
}
