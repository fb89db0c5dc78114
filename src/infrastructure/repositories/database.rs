//! The database: `sqlite:FILE` or `postgres://…`, one set of calls.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::dialect;
use super::error::StoreError;
use super::migrations::{self, SchemaState};
use super::outbox;
use super::page::CursorKey;
use super::postgres::PostgresDatabase;
use super::session::{Connection, Engine, Session};
use super::sqlite::SqliteDatabase;
use super::unit_of_work::{Pending, UnitOfWork, Work};
use crate::domain::context::Context;

/// How often a transaction that gave way to another is run again.
const RETRIES: usize = 8;

/// A database. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    engine: Arc<Backend>,
    context: Context,
    committed: Arc<Notify>,
    cursor_key: CursorKey,
    is_new: bool,
}

enum Backend {
    Sqlite(SqliteDatabase),
    Postgres(PostgresDatabase),
}

/// What to do about a schema that is not the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// An empty database is set up; one that is behind is refused.
    IfEmpty,
    /// Brought up to date.
    Migrate,
    /// Refused, and so is a database that is not there.
    Never,
}

impl Database {
    /// Opens the database at `url` and does about its schema what `setup` says.
    pub async fn open(url: &str, context: Context, setup: Setup) -> Result<Self, StoreError> {
        let mut database = Self::connect(url, context, setup != Setup::Never)?;
        database.is_new = migrations::set_up(&database, setup).await?;
        database.cursor_key = CursorKey::load(&database).await?;
        outbox::settle_in(&database).await?;
        Ok(database)
    }

    /// How the schema of the database at `url` stands; nothing is made or changed.
    pub async fn look(url: &str, context: Context) -> Result<SchemaState, StoreError> {
        migrations::state(&Self::connect(url, context, false)?).await
    }

    /// Connects to the database at `url`; a file is made if `make` says so.
    fn connect(url: &str, context: Context, make: bool) -> Result<Self, StoreError> {
        let engine = match url.strip_prefix("sqlite:") {
            Some(path) => {
                let context = context.clone();
                Backend::Sqlite(SqliteDatabase::open(Path::new(path), make, move |session| {
                    UnitOfWork::new(session, context.clone())
                })?)
            }
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Backend::Postgres(PostgresDatabase::open(url)?)
            }
            None => return Err(StoreError::Schema("a database is `sqlite:FILE` or `postgres://…`".into())),
        };
        Ok(Self {
            engine: Arc::new(engine),
            context,
            committed: Arc::new(Notify::new()),
            cursor_key: CursorKey::default(),
            is_new: false,
        })
    }

    /// Whether it was empty when it was opened.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        match *self.engine {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// Where this database's time, ids and randomness come from.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What its page cursors and order tokens are signed with.
    pub fn cursor_key(&self) -> &CursorKey {
        &self.cursor_key
    }

    /// Wakes when a unit of work that published events was committed by this process.
    pub fn committed(&self) -> &Notify {
        &self.committed
    }

    /// A session to read with; each statement sees what is committed when it begins.
    ///
    /// On SQLite its statements run on the caller's thread: a read by key takes microseconds, less than handing it
    /// to another thread would. Reads that may take long go through [`Database::snapshot`].
    pub async fn read(&self) -> Result<Session, StoreError> {
        Ok(Session::new(match &*self.engine {
            Backend::Sqlite(sqlite) => Connection::Sqlite(sqlite.reader().await?),
            Backend::Postgres(postgres) => Connection::Postgres(postgres.connection().await?),
        }))
    }

    /// Reads everything as it was at one instant, off the caller's thread where that would block it.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Session) -> Work<'a, T, E> + Send + 'static,
    {
        let mut session = self.read().await?;
        match session.connection_mut() {
            Connection::Sqlite(connection) => {
                connection.script("BEGIN")?;
                let ran = tokio::task::spawn_blocking(move || {
                    futures_util::FutureExt::now_or_never(work(&mut session))
                });
                let stopped = |what: &str| E::from(StoreError::Internal(what.into()));
                ran.await
                    .map_err(|_| stopped("a read panicked"))?
                    .unwrap_or_else(|| Err(stopped("a read awaited something else")))
            }
            Connection::Postgres(connection) => {
                connection.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                let outcome = work(&mut session).await;
                if let Connection::Postgres(connection) = session.connection_mut() {
                    connection.end("COMMIT").await?;
                }
                outcome
            }
        }
    }

    /// Does `work` in one transaction and commits it durably, or leaves no trace.
    ///
    /// `work` may be run several times where transactions stand in each other's way: it must have no effect but
    /// on its unit of work. Once this is called the work may happen even if the caller does not wait for it.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, T, E> + Send + 'static,
    {
        let (outcome, published) = match &*self.engine {
            Backend::Sqlite(sqlite) => {
                let (reply, answer) = oneshot::channel();
                sqlite.submit(Box::new(Pending { work, outcome: None, published: false, reply })).await?;
                answer.await.map_err(|_| StoreError::Unavailable("the writer has stopped".into()))?
            }
            Backend::Postgres(postgres) => self.transact(postgres, &work).await,
        };
        if published && outcome.is_ok() {
            self.committed.notify_waiters();
        }
        outcome
    }

    /// Runs `work` in a PostgreSQL transaction, again when it gave way to another.
    async fn transact<T, E, F>(&self, postgres: &PostgresDatabase, work: &F) -> (Result<T, E>, bool)
    where
        E: From<StoreError>,
        F: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, T, E>,
    {
        for attempt in 1.. {
            let mut connection = match postgres.connection().await {
                Ok(connection) => connection,
                Err(error) => return (Err(error.into()), false),
            };
            if let Err(error) = connection.begin("BEGIN").await {
                return (Err(error.into()), false);
            }
            let session = Session::new(Connection::Postgres(connection));
            let mut unit_of_work = UnitOfWork::new(session, self.context.clone());
            let outcome = work(&mut unit_of_work).await;
            let published = unit_of_work.published();
            let Connection::Postgres(connection) = unit_of_work.connection_mut() else { break };
            let ended = connection.end(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
            if connection.gave_way() && attempt < RETRIES {
                continue;
            }
            return (outcome.and_then(|value| ended.map(|()| value).map_err(E::from)), published);
        }
        (Err(StoreError::Internal("a transaction lost its connection".into()).into()), false)
    }

    /// What time it is to the database.
    pub async fn time(&self) -> Result<jiff::Timestamp, StoreError> {
        let sql = dialect::time(self.engine());
        self.read().await?.one(sql, &[], super::value::scalar).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read().await?.one("SELECT CAST(1 AS BIGINT)", &[], |row| row.get::<i64>(0)).await.map(drop)
    }
}

impl std::fmt::Debug for Database {
    /// Without its address, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
