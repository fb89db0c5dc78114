//! The server of PostgreSQL in errors and in the log, which has one line for each outage, and one for its end.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::error::DatabaseError;

/// The port of a host without one.
const PORT: u16 = 5432;

/// There was no connection yet: the command that opens the database reports why.
const UNKNOWN: u8 = 0;
/// The last attempt to connect succeeded.
const REACHED: u8 = 1;
/// The last attempt failed, and that was logged.
const AWAY: u8 = 2;

/// The server of a database.
pub(super) struct PostgresServer {
    /// Its hosts with their ports, and the database: neither the user nor the password.
    shown: String,
    state: AtomicU8,
}

impl PostgresServer {
    /// Returns the server of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let ports = config.get_ports();
        let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
        let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(at)),
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(folder) => format!("{}:{}", folder.display(), port(at)),
        });
        let mut hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() {
            hosts.extend(config.get_hostaddrs().iter().map(ToString::to_string));
        }
        let server = format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default());
        // for the parser, a password ends at its first `@` that is not encoded, and the rest belongs to the hosts
        let shown = server.rsplit_once('@').map_or(server.as_str(), |(_, shown)| shown).to_owned();
        Self { shown, state: AtomicU8::new(UNKNOWN) }
    }

    /// Returns the error of an attempt to connect that failed, with the name of the server. The first one after a
    /// connection is logged.
    pub(super) fn unavailable(&self, reason: &str) -> DatabaseError {
        let server = &self.shown;
        if self.state.compare_exchange(REACHED, AWAY, Relaxed, Relaxed).is_ok() {
            tracing::warn!(server, error = reason, "the database cannot be reached");
        }
        self.refused(reason)
    }

    /// Returns the error of a missing connection that says nothing about the server, such as that all are in use.
    pub(super) fn refused(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unavailable(format!("{}: {reason}", self.shown))
    }

    /// Notes that there is a new connection. The first one after an outage is logged.
    pub(super) fn connected(&self) {
        if self.state.swap(REACHED, Relaxed) == AWAY {
            tracing::info!(server = self.shown, "the database is reached again");
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    fn server(url: &str) -> PostgresServer {
        PostgresServer::of(&url.parse().unwrap())
    }

    #[test]
    fn a_server_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("postgres://ann:hush@db.example:5433/shop", "db.example:5433/shop"),
            ("postgres://ann:hush@a,b/shop", "a:5432,b:5432/shop"),
            ("postgres://ann@[::1]/shop", "[::1]:5432/shop"),
            ("postgres://ann@%2Frun%2Fpostgresql/shop", "/run/postgresql:5432/shop"),
            ("postgres:///shop?user=ann&hostaddr=10.0.0.5", "10.0.0.5/shop"),
            ("postgres://ann:hush@more@db.example:5433/shop", "db.example:5433/shop"),
            ("postgres://ann:hush@mo,re@db.example/shop", "db.example:5432/shop"),
            ("postgres://ann:hush@mo/re@db.example/shop", "db.example/shop"),
        ] {
            assert_eq!(server(url).shown, shown, "{url}");
            let error = server(url).unavailable("no route").to_string();
            assert_eq!(error, format!("the database is not available: {shown}: no route"));
        }
    }

    #[test]
    fn an_outage_has_a_line_and_its_end_another() {
        let lines = tempfile::NamedTempFile::new().unwrap();
        let layer = fmt::layer().with_writer(lines.reopen().unwrap()).without_time().with_ansi(false);
        tracing::subscriber::with_default(registry().with(layer.with_target(false)), || {
            let server = server("postgres://ann:hush@db/shop");
            drop(server.unavailable("not yet"));
            server.connected();
            for _ in 0..3 {
                drop(server.unavailable("no route"));
            }
            drop(server.refused("all connections are in use"));
            server.connected();
            server.connected();
        });
        assert_eq!(
            std::fs::read_to_string(lines.path()).unwrap(),
            " WARN the database cannot be reached server=\"db:5432/shop\" error=\"no route\"\n \
             INFO the database is reached again server=\"db:5432/shop\"\n"
        );
    }
}
