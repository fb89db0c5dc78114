//! The PostgreSQL engine: a bounded pool of connections with prepared statements.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::error::DatabaseError;
use super::param::Param;

/// Connections at most.
const CONNECTIONS: usize = 16;
/// How long a caller waits for one before it is told that the database is not available.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pool of connections to one database.
pub(crate) struct PostgresDatabase {
    pool: Pool,
}

impl PostgresDatabase {
    /// A pool for the database at `url`; connections are opened when they are needed.
    ///
    /// Without `sslmode` in the URL, a database on this machine is spoken to plainly and any other only over TLS
    /// with a certificate that public roots vouch for.
    pub(crate) fn open(url: &str) -> Result<Self, DatabaseError> {
        let unusable = |error: &dyn std::error::Error| DatabaseError::Unavailable(error.to_string());
        let mut config = tokio_postgres::Config::from_str(url).map_err(|error| unusable(&error))?;
        if !url.contains("sslmode=") {
            config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
        }
        config.connect_timeout(PATIENCE);
        if config.get_application_name().is_none() {
            config.application_name("undercroft");
        }
        let tls =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|error| unusable(&error))?
                .with_root_certificates(rustls::RootCertStore {
                    roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
                })
                .with_no_client_auth();
        let manager = Manager::from_config(
            config,
            tokio_postgres_rustls::MakeRustlsConnect::new(tls),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self { pool })
    }

    /// A connection.
    pub(crate) async fn connection(&self) -> Result<PostgresConnection, DatabaseError> {
        let object = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => DatabaseError::from(error),
            other => DatabaseError::Unavailable(other.to_string()),
        })?;
        Ok(PostgresConnection { object: Some(object), in_transaction: false, must_retry: false })
    }
}

fn is_local(config: &tokio_postgres::Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Host::Unix(_) => true,
    })
}

/// A connection in use. One that is dropped inside a transaction is closed, which rolls it back: it never goes
/// back to the pool in a state that nobody knows.
pub(crate) struct PostgresConnection {
    object: Option<Object>,
    in_transaction: bool,
    must_retry: bool,
}

impl PostgresConnection {
    fn get(&self) -> &Object {
        #[expect(clippy::expect_used, reason = "the connection is there until it is dropped")]
        self.object.as_ref().expect("a connection in use")
    }

    /// Begins a transaction. The mark is set before the database is asked, so that a caller who goes away while
    /// it answers leaves no transaction behind.
    pub(crate) async fn begin(&mut self, mode: &str) -> Result<(), DatabaseError> {
        self.in_transaction = true;
        self.must_retry = false;
        self.script(mode).await
    }

    /// Ends the transaction by `COMMIT` or `ROLLBACK`.
    pub(crate) async fn end(&mut self, how: &str) -> Result<(), DatabaseError> {
        self.script(how).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Whether the database asked for the transaction to be run again.
    pub(crate) fn must_retry(&self) -> bool {
        self.must_retry
    }

    pub(crate) async fn query(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, DatabaseError> {
        let object = self.get();
        let result = match object.prepare_cached(sql).await {
            Ok(statement) => object.query(&statement, &references(params)).await,
            Err(error) => Err(error),
        };
        self.noted(result)
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, DatabaseError> {
        let object = self.get();
        let result = match object.prepare_cached(sql).await {
            Ok(statement) => object.execute(&statement, &references(params)).await,
            Err(error) => Err(error),
        };
        self.noted(result)
    }

    pub(crate) async fn script(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let result = self.get().batch_execute(sql).await;
        self.noted(result)
    }

    fn noted<T>(&mut self, result: Result<T, tokio_postgres::Error>) -> Result<T, DatabaseError> {
        let result = result.map_err(DatabaseError::from);
        self.must_retry |= matches!(result, Err(DatabaseError::Retryable(_)));
        result
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        if self.in_transaction
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}

fn references<'a>(params: &'a [Param<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return if error.is_closed()
                || std::error::Error::source(&error)
                    .is_some_and(<dyn std::error::Error + 'static>::is::<std::io::Error>)
            {
                Self::Unavailable(error.to_string())
            } else {
                Self::Internal(error.to_string())
            };
        };
        let message = database.message().to_owned();
        let constraint = database.constraint().unwrap_or_default().to_owned();
        match database.code() {
            &SqlState::UNIQUE_VIOLATION => Self::Taken { constraint },
            &SqlState::CHECK_VIOLATION | &SqlState::NOT_NULL_VIOLATION => Self::CheckFailed { constraint },
            &SqlState::FOREIGN_KEY_VIOLATION => Self::ForeignKey(message),
            &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE => {
                Self::Retryable(message)
            }
            &SqlState::DISK_FULL => Self::Full(message),
            code if code.code().starts_with("08")
                || code.code().starts_with("53")
                || code.code().starts_with("57") =>
            {
                Self::Unavailable(message)
            }
            _ => Self::Internal(message),
        }
    }
}
