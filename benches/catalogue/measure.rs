//! Elapsed time and processor time of this process, and of the database's process on this machine.

use std::fmt;
use std::time::Duration;

use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine};

/// The times of a query, one for each run.
#[derive(Default)]
pub(crate) struct Samples {
    elapsed: Vec<Duration>,
    busy: Vec<Duration>,
}

impl Samples {
    pub(crate) fn add(&mut self, elapsed: Duration, busy: Duration) {
        self.elapsed.push(elapsed);
        self.busy.push(busy);
    }

    /// The samples in order, for percentiles.
    pub(crate) fn sort(&mut self) {
        self.elapsed.sort_unstable();
        self.busy.sort_unstable();
    }

    /// The 99th percentile of the processor time.
    pub(crate) fn busy_p99(&self) -> f64 {
        milliseconds(&self.busy, 99)
    }

    /// The 99th percentile of the elapsed time.
    pub(crate) fn elapsed_p99(&self) -> f64 {
        milliseconds(&self.elapsed, 99)
    }
}

fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1e3
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for times in [&self.elapsed, &self.busy] {
            write!(f, " {:>7.3} {:>7.3}", milliseconds(times, 50), milliseconds(times, 99))?;
        }
        Ok(())
    }
}

/// The workers of a database: this thread, and the process behind PostgreSQL's one connection.
pub(crate) struct Workers {
    backend: Option<String>,
}

impl Workers {
    pub(crate) async fn of(database: &Database) -> Self {
        if database.engine() == Engine::Sqlite {
            return Self { backend: None };
        }
        let mut connection = database.read().await.expect("a connection");
        let sql = "SELECT CAST(pg_backend_pid() AS TEXT)";
        let pid = connection.one::<String>(sql, &[]).await.expect("the backend's number");
        Self { backend: Some(format!("/proc/{pid}/schedstat")) }
    }

    /// The processor time used so far; a process that cannot be read counts as zero.
    pub(crate) fn busy(&self) -> Duration {
        let thread = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(thread.tv_sec).unwrap_or(0);
        let mine = Duration::new(seconds, u32::try_from(thread.tv_nsec).unwrap_or(0));
        let stat = self.backend.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let nanoseconds = stat.as_deref().and_then(|stat| stat.split(' ').next()?.parse().ok());
        mine + Duration::from_nanos(nanoseconds.unwrap_or(0))
    }
}

/// Creates a schema in PostgreSQL and returns its URL.
pub(crate) async fn schema(url: &str, name: &str) -> String {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection to PostgreSQL");
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {name}")).await.expect("a schema");
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}options=-csearch_path%3D{name}")
}

/// Vacuums and analyzes the loaded tables, which PostgreSQL does later otherwise.
pub(crate) async fn analyze(database: &Database) {
    let tables = ["products", "variants", "inventory", "listings", "product_texts", "product_words"];
    let mut connection = database.read().await.expect("a connection");
    for table in tables {
        let done: Result<(), DatabaseError> = connection.script(&format!("VACUUM ANALYZE {table}")).await;
        done.expect("housekeeping");
    }
}
