//! `undercroft serve`: the HTTP server and the worker, until a signal stops them.

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::service::{MetricsListener, ask_redis, record_end, until_signals, warn_of_check_mode};
use super::{CliError, open_store::open_store, signals::Signals, terminal::stdout};
use crate::application::jobs::worker::{accompany, work};
use crate::application::people::users;
use crate::application::{Store, demo};
use crate::infrastructure::events::DrainedRequests;
use crate::infrastructure::repositories::Setup;
use crate::presentation::http::router::Api;
use crate::presentation::http::server::{self, DrainReport};
use crate::presentation::telemetry::{Telemetry, end};
use crate::settings::{HttpSettings, Sandbox, Settings};

/// What is printed at the start of a store without an administrator.
const NO_ADMIN: &str =
    "This store has no administrator: create one with `undercroft admin create --email you@example.com`.";

/// The arguments of `serve`.
#[derive(clap::Args, Debug, Default)]
pub struct Serve {
    /// Start a new store without the demo catalogue
    #[arg(long)]
    no_demo: bool,
    /// Leave events, webhooks, recovery and renewals to another process, such as `undercroft worker`
    #[arg(long)]
    no_worker: bool,
}

impl Serve {
    /// Serves until SIGINT or SIGTERM, and then completes the running requests; a second signal ends it at once.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        check_sandbox(&settings)?;
        warn_of_check_mode(&settings);
        if let Some(address) = settings.shared_address() {
            return Err(CliError::SharedAddress(address));
        }
        let signals = Signals::listen().map_err(CliError::Signals)?;
        let http = within_file_limit(&settings.http);
        // first, so that no store is set up if the address is in use
        let address = settings.listen;
        let failed = |source| CliError::Listen { setting: "listen", address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let metrics = MetricsListener::bind(&settings).await?;

        let store = open_store(&settings, Setup::IfEmpty).await?;
        ask_redis(&store);
        let may_be_demo = settings.store.demo && !self.no_demo;
        let is_demo = may_be_demo && demo::is_due(&store).await.map_err(CliError::Store)?;
        if is_demo {
            demo::fill(&store).await.map_err(CliError::Demo)?;
        } else if may_be_demo && demo::is_missed(&store).await.map_err(CliError::Store)? {
            tracing::info!("no demo catalogue: the database was set up before");
        }

        let stop = CancellationToken::new();
        let worker = if self.no_worker {
            tokio::spawn(accompany(store.clone(), stop.clone()))
        } else {
            tokio::spawn(work(store.clone(), stop.clone()))
        };
        let context = store.database().context().clone();
        // hashing the password takes longer than starting the server
        let admin = is_demo.then(|| store.clone());
        let has_admin = is_demo || users::has_admin(&store).await.map_err(CliError::Store)?;
        let telemetry = Telemetry::start(&store, &settings.telemetry, "server");
        let _metrics = metrics.serve(&store, telemetry.as_ref());
        let settings = Settings { http, ..settings };
        let Api { router, chain } = Api::new(&store, &settings, stop.clone());
        let serving = server::serve(listener, router, chain, &settings.http, context, stop.clone());
        let served = serve_with_worker(worker, &stop, serving);
        // standard output may be closed
        let _ = writeln!(stdout(), "listening on http://{address}");
        if !has_admin {
            // standard output may be closed
            let _ = writeln!(stdout(), "{NO_ADMIN}");
        }
        if let Some(store) = admin {
            tokio::spawn(welcome(store, address));
        }

        until_signals(store, signals, &stop, served, async |store, (worked, report), reason| {
            record_end(store, "server", reason, Some(drained(report))).await;
            end(telemetry).await;
            let DrainReport { served, drained, cut_off } = report;
            tracing::info!(reason, served, drained, cut_off, "stopped");
            worked.map_err(CliError::Worker)
        })
        .await
    }
}

/// Checks that the sandbox is not public by accident: otherwise anyone could order without paying.
fn check_sandbox(settings: &Settings) -> Result<(), CliError> {
    match (settings.payments.sandbox, settings.public_address()) {
        (Sandbox::Local, Some(address)) => Err(CliError::Sandbox(address)),
        (Sandbox::Enabled, Some(address)) => {
            tracing::warn!(
                "the sandbox is enabled, and other machines reach {address}: payments succeed without money"
            );
            Ok(())
        }
        (Sandbox::Local | Sandbox::Enabled, None) | (Sandbox::Disabled, _) => Ok(()),
    }
}

/// Raises the limit on open files, and returns the settings with as many connections as fit into it.
fn within_file_limit(settings: &HttpSettings) -> HttpSettings {
    let limit = server::raise_file_limit();
    let wanted = settings.max_connections;
    let fitting = server::connections_within(limit, wanted.get());
    if fitting < wanted.get() {
        tracing::warn!(
            limit,
            max_connections = fitting,
            "`http.max_connections` is reduced to fit into the limit on open files of the process"
        );
    }
    HttpSettings { max_connections: NonZeroU32::new(fitting).unwrap_or(wanted), ..settings.clone() }
}

/// Returns the requests of a server, for the record of its end.
fn drained(report: DrainReport) -> DrainedRequests {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    DrainedRequests { served: report.served, drained: count(report.drained), cut_off: count(report.cut_off) }
}

/// Serves, and returns the outcomes of the worker and the server when both have ended. If the worker ends because of an
/// error, the server stops.
async fn serve_with_worker<T>(
    worker: JoinHandle<()>,
    stop: &CancellationToken,
    serving: impl Future<Output = T>,
) -> (Result<(), JoinError>, T) {
    let working = async {
        let worked = worker.await;
        stop.cancel();
        worked
    };
    tokio::join!(working, serving)
}

/// Creates the administrator of a new store, and prints how to log in to standard output, which is not logged.
async fn welcome(store: Store, address: SocketAddr) {
    let demo::Login { email, password } = match demo::admin(&store).await {
        Ok(login) => login,
        Err(failure) => {
            tracing::error!(failure = %failure.report(), "no administrator was created; `undercroft admin create` creates one");
            return;
        }
    };
    let password = password.expose_secret();
    let [percent, amount] = demo::DISCOUNTS;
    // standard output may be closed
    let _ = writeln!(
        stdout(),
        "\nThis store is new and contains a demo catalogue.\n\
         \n  administrator   {email}\n  password        {password}   (shown only once)\
         \n  discounts       {percent}, {amount}\
         \n  search          curl 'http://{address}/v1/products?q=coffee'\
         \n  the API         http://{address}/docs/\
         \n\nFor an empty store use another database and `serve --no-demo`.\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_fails_ends_the_server() {
        let stop = CancellationToken::new();
        let worker = tokio::spawn(async { panic!("a subscriber failed") });
        let (worked, ()) = serve_with_worker(worker, &stop, stop.cancelled()).await;
        assert!(worked.unwrap_err().is_panic());
    }

    #[tokio::test]
    async fn the_outcome_of_the_server_waits_for_the_end_of_the_worker() {
        let stop = CancellationToken::new();
        let worker = tokio::spawn({
            let stop = stop.clone();
            async move { stop.cancelled().await }
        });
        stop.cancel();
        assert!(matches!(serve_with_worker(worker, &stop, async { 1 }).await, (Ok(()), 1)));
    }
}
