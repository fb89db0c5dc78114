//! `undercroft serve`: the HTTP server until a signal says stop.

use std::io::{Write, stdout};
use std::net::SocketAddr;

use secrecy::ExposeSecret;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{CliError, opening, signals::Signals};
use crate::application::jobs::worker::work;
use crate::application::{Store, demo};
use crate::infrastructure::repositories::Setup;
use crate::presentation::http::server::{self, DrainReport};
use crate::presentation::http::state::{AppState, router};
use crate::settings::Settings;

/// The arguments of `serve`.
#[derive(clap::Args, Debug, Default)]
pub struct Serve {
    /// Leave a new store empty
    #[arg(long)]
    no_demo: bool,
}

impl Serve {
    /// Serves until SIGINT or SIGTERM and drains; a second signal ends it at once.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let mut signals = Signals::listen().map_err(CliError::Signals)?;
        // first of all: a store is not set up for an address that is taken
        let address = settings.listen;
        let failed = |source| CliError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let store = opening::open(&settings, Setup::IfEmpty).await?;
        let is_demo =
            settings.store.demo && !self.no_demo && demo::is_due(&store).await.map_err(CliError::Store)?;
        if is_demo {
            demo::fill(&store).await.map_err(CliError::Demo)?;
        }

        let stop = CancellationToken::new();
        let worker = tokio::spawn(work(store.clone(), stop.clone()));
        let ids = store.database().context().ids.clone();
        // its password takes longer to hash than the server to start
        let admin = is_demo.then(|| store.clone());
        let app = router(AppState::new(store, settings.http.clone()));
        let serving = server::serve(listener, app, &settings.http, ids, stop.clone());
        let served = beside(worker, &stop, serving);
        // a reader that has closed standard output does not want to know
        let _ = writeln!(stdout(), "listening on http://{address}");
        if let Some(store) = admin {
            tokio::spawn(welcome(store, address));
        }

        let orders = async {
            let signal = signals.next().await;
            tracing::info!(signal, "stopping");
            stop.cancel();
            signals.next().await;
        };
        tokio::select! {
            served = served => {
                let DrainReport { served, drained, cut_off } = served?;
                tracing::info!(served, drained, cut_off, "stopped");
                Ok(())
            }
            () = orders => Err(CliError::CutShort),
        }
    }
}

/// What serving comes to, once the worker has finished what it had begun. A store that nobody works for is not served:
/// if the worker breaks, that is the order to stop.
async fn beside<T>(
    worker: JoinHandle<()>,
    stop: &CancellationToken,
    serving: impl Future<Output = T>,
) -> Result<T, CliError> {
    let working = async {
        let worked = worker.await;
        stop.cancel();
        worked
    };
    let (worked, served) = tokio::join!(working, serving);
    worked.map_err(CliError::Worker)?;
    Ok(served)
}

/// Makes the administrator of a new store and tells, where no log is kept, how to log in.
async fn welcome(store: Store, address: SocketAddr) {
    let admin = match demo::admin(&store).await {
        Ok(admin) => admin,
        Err(failure) => {
            tracing::error!(failure = %failure.report(), "no administrator: `undercroft admin create` makes one");
            return;
        }
    };
    let demo::Login { email, password } = admin;
    let password = password.expose_secret();
    let [percent, amount] = demo::DISCOUNTS;
    // whoever has closed standard output does not want to know
    let _ = writeln!(
        stdout(),
        "\nThis store is new, and a small market hall was filled in to try things out.\n\
         \n  administrator   {email}\n  password        {password}   (told this once)\
         \n  discounts       {percent}, {amount}\
         \n  look            curl 'http://{address}/v1/products?q=coffee'\
         \n  the API         http://{address}/docs/\
         \n\nAn empty store instead: another database, and `serve --no-demo`.\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_breaks_ends_the_server() {
        let stop = CancellationToken::new();
        let worker = tokio::spawn(async { panic!("a reaction is wrong") });
        let served = beside(worker, &stop, stop.cancelled()).await;
        assert!(matches!(served, Err(CliError::Worker(_))), "{served:?}");
    }

    #[tokio::test]
    async fn the_worker_finishes_what_it_has_begun() {
        let stop = CancellationToken::new();
        let worker = tokio::spawn({
            let stop = stop.clone();
            async move { stop.cancelled().await }
        });
        stop.cancel();
        assert_eq!(beside(worker, &stop, async { 1 }).await.unwrap(), 1);
    }
}
