//! Shared by the tests: shops on new databases, servers on them, and builders.

mod documented;
mod faulty_proxy;
#[cfg(feature = "kafka")]
mod kafka;
mod lines;
mod round_trips;
mod server;
#[macro_use]
mod shop;
#[path = "../../../src/presentation/cli/torture/proxy.rs"]
mod proxy;
mod waits;

#[macro_use]
pub mod brokers;
pub mod builders;
pub mod emails;
pub mod forged_tokens;
pub mod http;
pub mod import;
pub mod issuer;
pub mod orders;
pub mod passwords;
pub mod redis;
pub mod slow_gateway;
pub mod store;
pub mod tls_listener;
pub mod totp;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, Setup};

pub use faulty_proxy::FaultyProxy;
pub use lines::Lines;
pub(crate) use proxy::{Line, Proxy};
pub use round_trips::RoundTrips;
pub use server::{TestClient, TestResponse, TestServer};
pub use shop::{Shop, ShopOptions};
pub use waits::{awaited, eventually};

/// The URL of PostgreSQL unless `UNDERCROFT_TEST_POSTGRES` is set.
const POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// A new database for one test; removed when it is dropped.
pub struct TestDatabase {
    /// The database.
    pub database: Database,
    /// The URL of the database.
    pub url: String,
    _cleanup: Cleanup,
}

/// An empty schema in PostgreSQL; removed when it is dropped.
pub struct EmptyPostgres {
    /// The URL of the database.
    pub url: String,
    cleanup: Cleanup,
}

impl EmptyPostgres {
    /// A new schema, or `None` with a message if PostgreSQL is not available.
    pub async fn new() -> Option<Self> {
        let base = postgres_url().await?;
        let schema = unique("undercroft_test");
        admin(&base, &format!("CREATE SCHEMA {schema}")).await;
        let joint = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{joint}application_name={schema}&options=-csearch_path%3D{schema}");
        Some(Self { url, cleanup: Cleanup::Schema(schema) })
    }
}

enum Cleanup {
    Folder(#[expect(dead_code, reason = "removed when it is dropped")] tempfile::TempDir),
    Schema(String),
}

impl TestDatabase {
    /// A new SQLite file.
    pub async fn sqlite(context: Context) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let database = Database::open(&url.parse().unwrap(), context, Setup::IfEmpty).await.unwrap();
        Self { database, url, _cleanup: Cleanup::Folder(folder) }
    }

    /// A new schema in PostgreSQL, or `None` with a message if PostgreSQL is not available.
    pub async fn postgres(context: Context) -> Option<Self> {
        let EmptyPostgres { url, cleanup } = EmptyPostgres::new().await?;
        let database = Database::open(&url.parse().unwrap(), context, Setup::IfEmpty).await.unwrap();
        Some(Self { database, url, _cleanup: cleanup })
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Self::Schema(schema) = self {
            // The test's worker may still hold locks, and cannot release them while this thread blocks.
            let end_others = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{schema}'"
            );
            let drop_schema = format!("{end_others}; DROP SCHEMA {schema} CASCADE");
            // A new runtime, because the test's own one may be shutting down.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    // the server's own maintenance of the tables may wait for each other
                    let is_deadlock = |error: &tokio_postgres::Error| {
                        error.code() == Some(&tokio_postgres::error::SqlState::T_R_DEADLOCK_DETECTED)
                    };
                    while try_admin(&postgres_base(), &drop_schema).await.is_err_and(|error| {
                        assert!(is_deadlock(&error), "{error}");
                        true
                    }) {}
                });
            })
            .join()
            .unwrap();
        }
    }
}

/// A unique name that begins with `prefix`.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 4];
    Context::system().ids.secret(&mut random);
    format!("{prefix}_{:08x}_{}", u32::from_le_bytes(random), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[expect(clippy::disallowed_methods, reason = "the location of test services is no setting of the store")]
fn postgres_base() -> String {
    std::env::var("UNDERCROFT_TEST_POSTGRES").unwrap_or_else(|_| POSTGRES.into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether a test service is required is no setting of the store"
)]
fn required() -> bool {
    std::env::var("UNDERCROFT_TEST_SERVICES").is_ok_and(|value| value == "required")
}

/// The URL of PostgreSQL, or `None` if it is not available and is not required.
async fn postgres_url() -> Option<String> {
    let base = postgres_base();
    match tokio_postgres::connect(&base, tokio_postgres::NoTls).await {
        Ok(_) => Some(base),
        Err(error) if required() => panic!("PostgreSQL is required and is not available: {error}"),
        Err(_) => {
            report_skipped(
                "the tests on PostgreSQL, because none is available (UNDERCROFT_TEST_POSTGRES is its URL)",
            );
            None
        }
    }
}

/// Whether a program is there; reports that its tests are skipped if it is not and is not required.
pub fn is_installed(program: &str) -> bool {
    match std::process::Command::new(program).arg("--version").output() {
        Ok(_) => true,
        Err(error) if required() => panic!("{program} is required and cannot be run: {error}"),
        Err(_) => {
            report_skipped(&format!("the tests with {program}, which is not there"));
            false
        }
    }
}

/// Reports that tests are skipped, once for all of them, on standard error: the harness shows the output of a test only
/// if it fails.
#[expect(clippy::explicit_write, reason = "the test harness captures eprintln!")]
fn report_skipped(what: &str) {
    static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if REPORTED.lock().unwrap().insert(what.to_owned()) {
        writeln!(std::io::stderr(), "\nSKIPPED: {what}").unwrap();
    }
}

/// Executes statements in a session of their own.
pub async fn admin(url: &str, sql: &str) {
    try_admin(url, sql).await.unwrap();
}

async fn try_admin(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await?;
    drop(client);
    connection.await.unwrap()
}
