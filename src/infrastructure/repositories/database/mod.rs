//! The database: `sqlite:FILE` or `postgres://…`, with the same functions for both.

mod audit;
mod audit_record;
mod cache_tag;
mod conditions;
mod connection;
mod constraints;
pub mod copy;
mod counters;
mod current_trace;
mod data_versions;
mod dialect;
mod due;
mod error;
mod load;
mod locked;
mod migrations;
mod new_event;
mod observed_work;
mod opening;
mod outbox;
mod owner;
mod page;
mod param;
mod postgres;
mod postgres_pool;
mod postgres_server;
mod postgres_silence;
mod postgres_wake_ups;
mod queue_wait;
mod records;
pub mod replication;
mod role;
mod row;
mod scripts;
mod sealing;
mod signing_key;
mod sqlite;
pub mod sqlite_backup;
mod sqlite_commits;
mod sqlite_file;
mod sqlite_pool;
mod sqlite_queue;
pub mod sqlite_side_files;
mod statements;
pub(crate) mod table;
mod transact;
mod unit_of_work;
mod url;

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use self::connection::EngineConnection;
use self::observed_work::Observer;
use self::postgres_pool::PostgresDatabase;
use self::sqlite::SqliteDatabase;
use self::unit_of_work::{Origin, PendingWork, complete};
use crate::domain::context::Context;

pub(crate) use self::audit::SERIES as AUDIT_SERIES;
pub(crate) use self::counters::next_number_ahead;
pub(crate) use self::current_trace::spawn_in_trace;
pub(crate) use self::data_versions::data_version;
pub(crate) use self::dialect::lock_rows;
pub(crate) use self::param::params;
pub(crate) use self::row::{from_row, read_column};
pub(crate) use self::statements::{column_list, key_lists, placeholders, select};
pub(crate) use self::table::{Root, ToColumns, table};
pub use self::{
    cache_tag::{CacheTag, TagEvent, is_cache_tag},
    conditions::Conditions,
    connection::Connection,
    counters::next_number,
    current_trace::{current_trace, in_trace},
    dialect::Engine,
    due::Due,
    error::{DatabaseError, NotLive},
    load::DatabaseLoad,
    migrations::SchemaState,
    new_event::NewEvent,
    observed_work::EndedWork,
    outbox::{EventRange, Outbox, Publishing},
    owner::Owner,
    page::{DEFAULT_LIMIT, ForeignCursor, ListError, ListedByTime, Page, PageRequest, newest_first},
    param::Param,
    queue_wait::QueueWaits,
    role::{ReplicationState, Role},
    row::{Field, FromRow, Json, Row},
    signing_key::SigningKey,
    sqlite_commits::CommitMark,
    table::{Table, Versioned},
    unit_of_work::{ReadFn, UnitOfWork, WorkFn},
    url::{DatabaseUrl, InvalidDatabaseUrl},
};

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    backend: Arc<Backend>,
    context: Context,
    committed: Arc<Notify>,
    signing_key: SigningKey,
    origin: Origin,
    observer: Observer,
    is_new: bool,
    /// Whether what it writes continues requests.
    continues: bool,
}

/// The engine of a database with its connections.
enum Backend {
    Sqlite(SqliteDatabase),
    Postgres(Box<PostgresDatabase>),
}

/// What [`Database::open`] does if the schema is not the one that this program needs.
///
/// A service that uses this library has a database of its own, which is empty at first: the library creates its tables
/// there, and refuses one with tables of another program alone. The service creates its own tables beside them by
/// [`Connection::script`] in a unit of work, each with `IF NOT EXISTS`. It opens with [`Setup::Migrate`]: an update of
/// the library may have new migrations, with which [`Setup::IfEmpty`] fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Sets up an empty database; fails if migrations are missing.
    IfEmpty,
    /// Fails if the database is missing, empty or older, and changes nothing then.
    Existing,
    /// Sets up an empty database, and applies missing migrations.
    Migrate,
    /// Fails, and does not create a missing database. The database is opened for reading: nothing is written to it.
    ReadOnly,
}

impl Database {
    /// Returns whether the database was empty when it was opened.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the database for what continues a request, such as the response of a provider for which it waits. On
    /// SQLite such units of work run before those that begin something.
    #[must_use]
    pub fn continuing(&self) -> Self {
        Self { continues: true, ..self.clone() }
    }

    /// Returns the engine.
    pub fn engine(&self) -> Engine {
        match *self.backend {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// Returns the source of time, ids and randomness.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the key that signs cursors and order tokens.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Returns the request for a page of at most `limit` items that begins at `cursor`, or for the first one.
    pub fn page_request<'a>(&'a self, limit: usize, cursor: Option<&'a str>) -> PageRequest<'a> {
        PageRequest { limit, cursor, key: &self.signing_key }
    }

    /// Returns the number of connections in use, and of the reads and transactions that wait for one.
    pub fn load(&self) -> DatabaseLoad {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.load(),
            Backend::Postgres(postgres) => postgres.load(),
        }
    }

    /// Returns the waits for a connection or for the writer since the last call, the longer ones of both queues; `None`
    /// if next to nothing was done.
    pub fn take_waits(&self) -> Option<QueueWaits> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.take_waits(),
            Backend::Postgres(postgres) => postgres.take_waits(),
        }
    }

    /// Returns the number of statements that this process has run on its databases, without those that begin and end
    /// transactions.
    pub fn statements() -> u64 {
        connection::statements()
    }

    /// Returns what the next commit of any process changes; `None` if only a read can tell whether there was one: on
    /// PostgreSQL, and on SQLite if the database was opened for reading.
    pub fn commit_mark(&self) -> Option<CommitMark> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.commit_mark(),
            Backend::Postgres(_) => None,
        }
    }

    /// Returns the notification of each commit that published events: by this process, and by others while
    /// [`Database::listen`] runs.
    pub fn committed(&self) -> &Notify {
        &self.committed
    }

    /// Returns a connection for reads. Each statement sees what is committed when it begins.
    ///
    /// On SQLite its statements run on the caller's thread: a read by key takes microseconds, less than a change of
    /// threads. Reads that may take long go through [`Database::snapshot`].
    ///
    /// It is no unit of work: on PostgreSQL what `execute` and `script` change is committed at once, and on SQLite a
    /// statement that writes fails. [`Database::write`] writes.
    ///
    /// The connection returns to its pool when it is dropped. The pool is small (8 connections on SQLite, 16 on
    /// PostgreSQL): tasks that each hold one and wait for another one, also for that of a snapshot or a unit of work,
    /// can use up all of them and wait for each other.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Unavailable`] if no connection is free within 10 seconds, or the database cannot be reached.
    pub async fn read(&self) -> Result<Connection, DatabaseError> {
        Ok(Connection::new(match &*self.backend {
            Backend::Sqlite(sqlite) => EngineConnection::Sqlite(sqlite.reader().await?),
            Backend::Postgres(postgres) => EngineConnection::Postgres(postgres.connection().await?),
        }))
    }

    /// Returns a connection that writes beside other units of work, on SQLite without checking foreign keys.
    async fn unchecked_writer(&self) -> Result<Connection, DatabaseError> {
        Ok(Connection::new(match &*self.backend {
            Backend::Sqlite(sqlite) => EngineConnection::Sqlite(sqlite.unchecked_writer()?),
            Backend::Postgres(postgres) => EngineConnection::Postgres(postgres.writer().await?),
        }))
    }

    /// Runs `work` on one snapshot of the database; on SQLite in a blocking thread.
    ///
    /// `work` awaits nothing but its connection: on SQLite anything else that is not ready at once fails with
    /// [`DatabaseError::Internal`]. What takes long, such as a request to another service, keeps one of a few
    /// connections in use: do it before or after.
    ///
    /// # Errors
    ///
    /// That of `work`, and those of [`Database::read`].
    ///
    /// # Panics
    ///
    /// On PostgreSQL if `work` panics; on SQLite that is [`DatabaseError::Internal`].
    pub async fn snapshot<A, T, E, F>(&self, given: A, work: F) -> Result<T, E>
    where
        A: Send + 'static,
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        F: AsyncFnOnce(&mut Connection, A) -> Result<T, E>
            + for<'a> ReadFn<'a, A, Result<T, E>>
            + Send
            + 'static,
    {
        let mut connection = self.read().await?;
        connection.begin_snapshot()?;
        match self.engine() {
            Engine::Sqlite => {
                let run = tokio::task::spawn_blocking(move || complete(work(&mut connection, given)));
                run.await.map_err(|_| E::from(DatabaseError::Internal("a snapshot read panicked".into())))?
            }
            Engine::Postgres => {
                let result = work(&mut connection, given).await;
                // a connection that cannot roll back is closed when it is dropped
                let _ = connection.roll_back().await;
                result
            }
        }
    }

    /// Runs `work` in one transaction and commits it durably; an error rolls it back.
    ///
    /// `work` is run again if transactions conflict: it must have no effect outside its unit of work.
    /// The work may be committed even if the caller stops waiting.
    ///
    /// `work` awaits nothing but its unit of work: on SQLite anything else that is not ready at once, such as a wait, a
    /// channel or another connection, fails with [`DatabaseError::Internal`]. It computes nothing that takes long:
    /// SQLite has one writer, and all other units of work wait for it meanwhile; on PostgreSQL they wait for the rows
    /// that it has locked. Wait and compute before, and pass the result as `given`.
    ///
    /// # Errors
    ///
    /// That of `work`. [`DatabaseError::Unavailable`] if the database cannot be reached, or too many units of work wait
    /// for 10 seconds; [`DatabaseError::OutcomeUnknown`] if it failed during the commit; [`DatabaseError::Retryable`]
    /// or [`DatabaseError::Stale`] if it conflicted 12 times on PostgreSQL; [`DatabaseError::ReadOnly`] or
    /// [`DatabaseError::NotLive`] if this database is not written to; [`DatabaseError::Full`].
    ///
    /// # Panics
    ///
    /// On PostgreSQL if `work` panics, which rolls it back; on SQLite that is [`DatabaseError::Internal`].
    pub async fn write<A, T, E, F>(&self, given: A, work: F) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        F: AsyncFn(&mut UnitOfWork, &A) -> Result<T, E>
            + for<'a> WorkFn<'a, A, Result<T, E>>
            + Send
            + Sync
            + 'static,
    {
        self.submit(given, work).await
    }

    /// The future is stated to be `Send` here, where its types are generic.
    fn submit<A, T, E, F>(&self, given: A, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        F: for<'a> WorkFn<'a, A, Result<T, E>> + Send + Sync + 'static,
    {
        let trace = current_trace();
        let observed = self.observe(trace);
        async move {
            let (result, published) = match &*self.backend {
                Backend::Sqlite(sqlite) => {
                    let (reply, received) = oneshot::channel();
                    let (context, origin) = (self.context.clone(), self.origin.clone());
                    let (result, published) = (None, Vec::new());
                    let pending =
                        PendingWork { given, work, context, origin, trace, result, published, reply };
                    sqlite.submit(Box::new(pending), self.continues).await?;
                    received
                        .await
                        .map_err(|_| DatabaseError::OutcomeUnknown("the writer has stopped".into()))?
                }
                Backend::Postgres(postgres) => self.transact(postgres, &given, &work, trace).await,
            };
            if !published.is_empty() && result.is_ok() {
                self.committed.notify_waiters();
                self.wake_others();
            }
            if let Some(observed) = observed {
                observed.end(result.is_ok(), published);
            }
            result
        }
    }

    /// Runs one statement as a transaction of its own, and returns its first row.
    pub(crate) async fn write_one<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        params: Vec<Param<'static>>,
    ) -> Result<Option<T>, DatabaseError> {
        match &*self.backend {
            Backend::Sqlite(_) => {
                self.write(params, async move |work, params| work.first::<T>(sql, params).await).await
            }
            Backend::Postgres(postgres) => {
                let writer = postgres.writer().await?;
                let mut connection = Connection::new(EngineConnection::Postgres(writer));
                connection.first(sql, &params).await.map_err(DatabaseError::of_commit)
            }
        }
    }

    /// Returns the time of the database's clock.
    pub async fn time(&self) -> Result<jiff::Timestamp, DatabaseError> {
        let sql = dialect::time(self.engine());
        self.read().await?.one(sql, &[]).await
    }
}

/// Returns a new SQLite database, with the folder of its file.
#[cfg(test)]
pub(crate) async fn new_database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("store.db"));
    let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
    (folder, database)
}

impl std::fmt::Debug for Database {
    /// Omits the URL, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
