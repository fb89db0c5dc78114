//! The connections to PostgreSQL: how they are opened, and how many there are.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Hook, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::DatabaseError;
use super::load::DatabaseLoad;
use super::postgres::PostgresConnection;
use super::postgres_server::PostgresServer;
use super::postgres_silence::{HOST_WAIT, Silence, connection_wait, no_response};
use super::queue_wait::{QueueWait, QueueWaits};
use crate::domain::host::is_this_machine;

/// The most connections.
const CONNECTIONS: usize = 16;
/// The most connections in transactions that write: the others are for reads, which a lock that transactions wait for
/// does not delay.
const WRITERS: usize = 12;
/// The longest wait for a lock. A foreign transaction that holds one for longer makes the store's unavailable.
const LOCK_WAIT: &str = "-c lock_timeout=5s";
/// Makes PostgreSQL refuse to write.
const READ_ONLY: &str = "-c default_transaction_read_only=on";
/// After which time without traffic a connection is probed, the time between two probes, and the number of probes
/// without a reply after which it is closed. The URL may have others (`keepalives_interval`).
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 4);
/// The longest time for which what was sent is not acknowledged, unless the URL has another one (`tcp_user_timeout`).
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(30);
/// The longest wait for a connection while all are in use, until the database is reported as unavailable.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);

/// A connection whose messages are read by its owner.
type PostgresStream =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A pool of connections to one database.
pub(crate) struct PostgresDatabase {
    pool: Pool,
    writers: Arc<Semaphore>,
    /// The waits for a connection that writes, and for one that reads.
    waits: [QueueWait; 2],
    config: Config,
    tls: MakeRustlsConnect,
    server: Arc<PostgresServer>,
    silence: Arc<Silence>,
    /// Whether other processes are about to be notified of a commit.
    pub(super) wake_up_due: AtomicBool,
}

impl PostgresDatabase {
    /// Returns a pool for the database at `url`. Connections are opened when they are needed.
    ///
    /// Without `sslmode` in the URL, a connection to this machine is not encrypted, and any other uses TLS with a
    /// certificate that a public root has signed. `read_only` makes the database refuse to write.
    pub(crate) fn open(url: &SecretString, read_only: bool) -> Result<Self, DatabaseError> {
        let unusable = |error: &dyn std::error::Error| DatabaseError::Unavailable(error.to_string());
        let config = configure(url.expose_secret(), read_only).map_err(|error| unusable(&error))?;
        let tls =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|error| unusable(&error))?
                .with_root_certificates(rustls::RootCertStore {
                    roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
                })
                .with_no_client_auth();
        let tls = MakeRustlsConnect::new(tls);
        let manager = Manager::from_config(
            config.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let server = Arc::new(PostgresServer::of(&config));
        let of_connections = Arc::clone(&server);
        let connected = Hook::sync_fn(move |_, _| {
            of_connections.connected();
            Ok(())
        });
        let pool = Pool::builder(manager)
            .post_create(connected)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(CONNECTION_WAIT))
            .create_timeout(Some(connection_wait(&config)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| unusable(&error))?;
        let silence = Silence::new(Arc::clone(&server), config.clone(), tls.clone(), pool.clone());
        Ok(Self {
            pool,
            writers: Arc::new(Semaphore::new(WRITERS)),
            waits: [QueueWait::new(), QueueWait::new()],
            config,
            tls,
            server,
            silence: Arc::new(silence),
            wake_up_due: AtomicBool::new(false),
        })
    }

    /// Returns a connection for a transaction that writes. Some connections are never used for these, so that reads
    /// have one while transactions wait for each other.
    pub(crate) async fn writer(&self) -> Result<PostgresConnection, DatabaseError> {
        let began = Instant::now();
        let permit = timeout(CONNECTION_WAIT, Arc::clone(&self.writers).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            self.waits[0].end(began);
            return Err(self.server.refused("all connections that write are in use"));
        };
        let connection = self.get(Some(permit)).await;
        self.waits[0].end(began);
        connection
    }

    /// Returns a connection for reads.
    pub(crate) async fn connection(&self) -> Result<PostgresConnection, DatabaseError> {
        let began = Instant::now();
        let connection = self.get(None).await;
        self.waits[1].end(began);
        connection
    }

    /// Returns the waits for a connection since the last call, the longer ones of those that write and read.
    pub(crate) fn take_waits(&self) -> Option<QueueWaits> {
        let [writing, reading] = &self.waits;
        QueueWaits::longer(writing.take(), reading.take())
    }

    /// Returns the connections of the pool, and what waits for one.
    pub(crate) fn load(&self) -> DatabaseLoad {
        let status = self.pool.status();
        let connections_idle = status.available;
        let connections_in_use = status.size.saturating_sub(connections_idle);
        DatabaseLoad { connections_in_use, connections_idle, waiting: status.waiting }
    }

    /// Opens a connection that is not of the pool.
    pub(super) async fn connect(&self) -> Result<(Client, PostgresStream), DatabaseError> {
        let wait = connection_wait(&self.config);
        match timeout(wait, self.config.connect(self.tls.clone())).await {
            Ok(connected) => connected.map_err(|error| self.not_connected(error)),
            Err(_) => Err(self.server.unavailable(&no_response(wait))),
        }
    }

    async fn get(&self, permit: Option<OwnedSemaphorePermit>) -> Result<PostgresConnection, DatabaseError> {
        let object = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => self.not_connected(error),
            PoolError::Timeout(TimeoutType::Create) => {
                self.server.unavailable(&no_response(connection_wait(&self.config)))
            }
            PoolError::Timeout(TimeoutType::Wait) => self.server.refused("all connections are in use"),
            other => self.server.refused(&other.to_string()),
        })?;
        Ok(PostgresConnection::new(object, permit, Arc::clone(&self.silence)))
    }

    /// Returns the error of a connection that was not opened.
    fn not_connected(&self, error: tokio_postgres::Error) -> DatabaseError {
        match DatabaseError::from(error) {
            DatabaseError::Internal(reason) | DatabaseError::Unavailable(reason) => {
                self.server.unavailable(&reason)
            }
            error => error,
        }
    }
}

/// Returns the configuration of the connections to the database at `url`.
fn configure(url: &str, read_only: bool) -> Result<Config, tokio_postgres::Error> {
    let mut config = Config::from_str(url)?;
    if !states_ssl_mode(url) {
        config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
    }
    config.connect_timeout(HOST_WAIT);
    if config.get_keepalives_interval().is_none() {
        let (idle, interval, retries) = KEEPALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(ACKNOWLEDGEMENT);
    }
    let access = if read_only { READ_ONLY } else { "" };
    let own = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{LOCK_WAIT} {access} {own}"));
    if config.get_application_name().is_none() {
        config.application_name("undercroft");
    }
    Ok(config)
}

/// Returns whether the URL has the parameter `sslmode`.
fn states_ssl_mode(url: &str) -> bool {
    // user and password may contain a question mark
    let after_user = url.split_once('@').map_or(url, |(_, rest)| rest);
    let query = after_user.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| parameter.starts_with("sslmode="))
}

/// Returns whether all connections are to this machine. An address (`hostaddr`) replaces the one of the host's name.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => is_this_machine(name),
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssl_mode(url: &str) -> SslMode {
        configure(url, false).unwrap().get_ssl_mode()
    }

    #[test]
    fn a_connection_to_this_machine_is_not_encrypted() {
        for url in [
            "postgres://user@localhost/shop",
            "postgres://user@127.0.0.1:5433/shop",
            "postgres://user@127.0.0.2/shop",
            "postgres://user@[::1]/shop",
            "postgres://user@%2Frun%2Fpostgresql/shop",
            "postgres:///shop?host=localhost&hostaddr=127.0.0.1",
        ] {
            assert_eq!(ssl_mode(url), SslMode::Disable, "{url}");
        }
    }

    #[test]
    fn a_connection_to_another_machine_uses_tls() {
        for url in [
            "postgres://user:secret@db.example.com/shop",
            "postgres://user:secret@localhost,db.example.com/shop",
            "postgres:///shop?user=u&password=secret&hostaddr=10.0.0.5",
            "postgres:///shop?user=u&password=secret&host=localhost&hostaddr=10.0.0.5",
            "postgres://user:sslmode=disable@db.example.com/shop",
            "postgres://user:?sslmode=disable@db.example.com/shop",
            "postgres://user:secret@db.example.com/shop?application_name=sslmode=disable",
        ] {
            assert_eq!(ssl_mode(url), SslMode::Require, "{url}");
        }
    }

    #[test]
    fn the_url_may_state_whether_a_connection_is_encrypted() {
        let remote = "postgres://user:secret@db.example.com/shop?connect_timeout=5&sslmode";
        assert_eq!(ssl_mode(&format!("{remote}=disable")), SslMode::Disable);
        assert_eq!(ssl_mode(&format!("{remote}=prefer")), SslMode::Prefer);
        assert_eq!(ssl_mode("postgres://user@localhost/shop?sslmode=require"), SslMode::Require);
    }
}
