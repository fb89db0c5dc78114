//! A PostgreSQL that accepts what is sent to it and does not respond, such as one that was stopped. A statement may
//! take long without a response, so another connection finds out: a server that works lets it in, or refuses it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::DatabaseError;
use super::postgres_server::PostgresServer;

/// The time without a response to a statement after which the server is checked. With a check it is less than what the
/// caches wait for the database.
const UNCHECKED: Duration = Duration::from_secs(3);
/// The longest wait for a connection to one of the hosts of a server.
pub(super) const HOST_WAIT: Duration = Duration::from_secs(5);
/// How long the result of a check is that of others, so that statements which wait together make one.
const VALIDITY: Duration = Duration::from_secs(1);

/// Finds out whether a server does not respond.
pub(super) struct Silence {
    server: Arc<PostgresServer>,
    config: Config,
    tls: MakeRustlsConnect,
    pool: Pool,
    /// Whether the server responded to the last check, and when.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Silence {
    /// Returns that of a server, to which `pool` has connections.
    pub(super) fn new(
        server: Arc<PostgresServer>,
        config: Config,
        tls: MakeRustlsConnect,
        pool: Pool,
    ) -> Self {
        Self { server, config, tls, pool, last: Mutex::new(None) }
    }

    /// Returns the error of a statement that has no response, once the server does not respond to another connection
    /// either. Does not end while it does.
    pub(super) async fn begins(&self) -> DatabaseError {
        loop {
            sleep(UNCHECKED).await;
            // a large future, which few statements need
            if !Box::pin(self.responds()).await {
                return self.server.unavailable(&no_response(UNCHECKED + connection_wait(&self.config)));
            }
        }
    }

    /// Returns whether the server responds to another connection.
    async fn responds(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, responds)) = *last
            && at.elapsed() < VALIDITY
        {
            return responds;
        }
        let connected = timeout(connection_wait(&self.config), self.config.connect(self.tls.clone())).await;
        let responds = connected.is_ok();
        if !responds {
            // a statement on one of these would have no response either
            drop(self.pool.retain(|_, _| false));
        }
        *last = Some((Instant::now(), responds));
        responds
    }
}

/// Returns the longest wait for a connection: that for each host, since the next one is connected to if one does not
/// respond.
pub(super) fn connection_wait(config: &Config) -> Duration {
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    HOST_WAIT.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX))
}

/// Returns the reason of an error after a wait.
pub(super) fn no_response(wait: Duration) -> String {
    format!("no response within {} seconds", wait.as_secs())
}
