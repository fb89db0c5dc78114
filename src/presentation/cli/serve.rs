//! `undercroft serve`: the HTTP server until a signal says stop.

use std::io::{Write, stdout};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{CliError, opening, signals::Signals};
use crate::{
    application::worker::work,
    infrastructure::repositories::Setup,
    presentation::http::{
        server::{self, DrainReport},
        state::{AppState, router},
    },
    settings::Settings,
};

/// The arguments of `serve`.
#[derive(clap::Args, Debug)]
pub struct Serve {}

impl Serve {
    /// Serves until SIGINT or SIGTERM and drains; a second signal ends it at once.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let mut signals = Signals::listen().map_err(CliError::Signals)?;
        let opened = opening::open(&settings, Setup::IfEmpty).await?;
        let address = settings.listen;
        let failed = |source| CliError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let stop = CancellationToken::new();
        let worker = tokio::spawn(work(opened.store.clone(), opened.notices, stop.clone()));
        let ids = opened.store.database().context().ids.clone();
        let app = router(AppState::new(opened.store, settings.http.clone(), opened.sandbox));
        let served = async {
            let report = server::serve(listener, app, &settings.http, ids, stop.clone()).await;
            // what the worker has begun it finishes; if it broke there is nothing left to wait for
            let _ = worker.await;
            report
        };
        // a reader that has closed standard output does not want to know
        let _ = writeln!(stdout(), "listening on http://{address}");

        let orders = async {
            let signal = signals.next().await;
            tracing::info!(signal, "stopping");
            stop.cancel();
            signals.next().await;
        };
        tokio::select! {
            DrainReport { served, drained, cut_off } = served => {
                tracing::info!(served, drained, cut_off, "stopped");
                Ok(())
            }
            () = orders => Err(CliError::CutShort),
        }
    }
}
