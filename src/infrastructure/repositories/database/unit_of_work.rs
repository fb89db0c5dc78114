//! A transaction: changes and events are committed together, or not at all.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::audit_record::{AuditMark, AuditRecord};
use super::cache_tag::{CacheTag, TagEvent};
use super::connection::{Connection, EngineConnection};
use super::dialect::{self, Engine};
use super::error::DatabaseError;
use super::new_event::NewEvent;
use super::owner::Owners;
use super::param::{Param, params};
use super::sqlite::{SqliteConnection, Unit};
use crate::domain::audit::Actor;
use crate::domain::context::Context;
use crate::domain::events::DurableEvent;
use crate::domain::trace::TraceContext;

/// An asynchronous function over a unit of work and its parameters, whose future can be sent to another thread.
///
/// Any `async |work, given| …` that awaits nothing but the unit of work is one. [`AsyncFn`] alone does not say that
/// the future is `Send`; with both bounds the closure's types are inferred and its future can be sent.
pub trait WorkFn<'a, A: 'a, R>: Fn(&'a mut UnitOfWork, &'a A) -> Self::Fut {
    /// The future that the function returns.
    type Fut: Future<Output = R> + Send;
}

impl<'a, A: 'a, R, F, Fut> WorkFn<'a, A, R> for F
where
    F: Fn(&'a mut UnitOfWork, &'a A) -> Fut,
    Fut: Future<Output = R> + Send,
{
    type Fut = Fut;
}

/// [`WorkFn`] for a function that only reads and is run once: it owns its parameters.
pub trait ReadFn<'a, A, R>: FnOnce(&'a mut Connection, A) -> Self::Fut {
    /// The future that the function returns.
    type Fut: Future<Output = R> + Send;
}

impl<'a, A, R, F, Fut> ReadFn<'a, A, R> for F
where
    F: FnOnce(&'a mut Connection, A) -> Fut,
    Fut: Future<Output = R> + Send,
{
    type Fut = Fut;
}

/// An open transaction. It is committed if its closure returns `Ok`, and rolled back otherwise.
pub struct UnitOfWork {
    connection: Connection,
    context: Context,
    /// The context of the database, which an import replaces.
    own_context: Context,
    now: Timestamp,
    /// The types of the events that it published.
    published: Vec<&'static str>,
    /// What the unit of work changed of what public pages show.
    tags: BTreeSet<CacheTag>,
    tag_event: Option<TagEvent>,
    /// Whose data it changed.
    pub(super) owners: Owners,
    /// The trace that its events belong to.
    trace: Option<TraceContext>,
    pub(super) audit: AuditRecord,
    pub(super) stale: bool,
    pub(super) locked: Vec<Locked>,
    savepoints: Vec<Savepoint>,
}

/// What a database passes to its units of work.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    /// Makes the event of the public pages that a unit of work changes.
    pub(crate) tag_event: Option<TagEvent>,
    /// Who acts.
    pub(crate) actor: Option<Arc<Actor>>,
}

/// What is known at a savepoint.
struct Savepoint {
    locked: Vec<Locked>,
    audit: AuditMark,
    /// The number of published events.
    published: usize,
    tags: BTreeSet<CacheTag>,
    owners: Owners,
}

/// A locked row as it is stored.
#[derive(Clone)]
pub(super) struct Locked {
    pub(super) table: &'static str,
    /// The values of the columns, the key first. A savepoint shares them.
    pub(super) values: Arc<[Param<'static>]>,
}

impl UnitOfWork {
    pub(crate) fn new(
        connection: Connection,
        context: Context,
        origin: Origin,
        trace: Option<TraceContext>,
    ) -> Self {
        let Origin { tag_event, actor } = origin;
        Self {
            connection,
            audit: AuditRecord::new(actor),
            now: context.clock.now(),
            own_context: context.clone(),
            context,
            published: Vec::new(),
            tags: BTreeSet::new(),
            owners: Owners::default(),
            tag_event,
            trace,
            stale: false,
            locked: Vec::new(),
            savepoints: Vec::new(),
        }
    }

    /// Returns the time at which the unit of work began, the same for all of its changes.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the time of the database's clock, also while an import writes rows of the past.
    pub(super) fn own_now(&self) -> Timestamp {
        self.own_context.clock.now()
    }

    /// Returns a new id.
    pub fn id<T: From<Uuid>>(&self) -> T {
        T::from(self.context.ids.uuid())
    }

    /// Fills `out` with cryptographically secure random bytes.
    pub fn secret(&self, out: &mut [u8]) {
        self.context.ids.secret(out);
    }

    /// Replaces the source of time, ids and randomness: an import writes past orders with their own times.
    pub fn set_context(&mut self, context: Context) {
        self.now = context.clock.now();
        self.context = context;
    }

    /// Returns the trace that its events belong to.
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Lets what follows belong to a trace.
    pub fn set_trace(&mut self, trace: Option<TraceContext>) {
        self.trace = trace;
    }

    /// Lets PostgreSQL plan its statements anew for the rows that the tables have now. After many rows were inserted,
    /// it would go on to read whole tables that had a few rows before. SQLite plans by the indexes alone.
    ///
    /// Only the tables of the schema are analyzed: each is locked until the end of the transaction, in which those of
    /// other schemas, of other stores or programs, would be in a deadlock with their migrations.
    pub async fn refresh_statistics(&mut self) -> Result<(), DatabaseError> {
        match self.engine() {
            Engine::Sqlite => Ok(()),
            Engine::Postgres => self.script(dialect::ANALYZE).await,
        }
    }

    /// Sets a savepoint, within which the work that follows can be rolled back alone.
    pub fn savepoint(&mut self) -> Result<(), DatabaseError> {
        self.mark_savepoint();
        self.defer_script("SAVEPOINT changes")
    }

    /// Sets a savepoint at once: on PostgreSQL [`UnitOfWork::savepoint`] sends it with the next statement, and not at
    /// all if that is malformed.
    pub(crate) async fn savepoint_now(&mut self) -> Result<(), DatabaseError> {
        self.mark_savepoint();
        self.script("SAVEPOINT changes").await
    }

    fn mark_savepoint(&mut self) {
        let (locked, audit) = (self.locked.clone(), self.audit.mark());
        let (tags, owners) = (self.tags.clone(), self.owners.clone());
        self.savepoints.push(Savepoint { locked, audit, published: self.published.len(), tags, owners });
    }

    /// Removes the last savepoint and keeps the changes since then.
    pub async fn release_savepoint(&mut self) -> Result<(), DatabaseError> {
        self.savepoints.pop();
        self.script("RELEASE SAVEPOINT changes").await
    }

    /// Rolls back to the last savepoint and removes it. Rows that were locked before it stay locked.
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), DatabaseError> {
        const SCRIPT: &str = "ROLLBACK TO SAVEPOINT changes; RELEASE SAVEPOINT changes";
        if let Some(Savepoint { locked, audit, published, tags, owners }) = self.savepoints.pop() {
            (self.locked, self.tags, self.owners) = (locked, tags, owners);
            self.audit.return_to(audit);
            self.published.truncate(published);
        }
        self.stale = false;
        match self.connection.inner_mut() {
            EngineConnection::Sqlite(sqlite) => sqlite.script(SCRIPT),
            EngineConnection::Postgres(postgres) => postgres.roll_back_to(SCRIPT).await,
        }
    }

    /// Locks a name until the transaction ends, for a rule over several rows. Other transactions that lock the name
    /// wait.
    pub async fn lock_name(&mut self, name: &str) -> Result<(), DatabaseError> {
        self.advisory_lock(name, dialect::LOCK_EXCLUSIVE).await
    }

    /// Locks a name until the transaction ends. Only transactions that lock it by [`UnitOfWork::lock_name`] wait.
    pub(crate) async fn lock_name_shared(&mut self, name: &str) -> Result<(), DatabaseError> {
        self.advisory_lock(name, dialect::LOCK_SHARED).await
    }

    async fn advisory_lock(&mut self, name: &str, sql: &str) -> Result<(), DatabaseError> {
        match self.engine() {
            // there is one writer at a time
            Engine::Sqlite => Ok(()),
            Engine::Postgres => self.defer(sql, &params![lock_number(name)]).await,
        }
    }

    /// Publishes an event with this transaction: it is delivered if and only if the transaction commits.
    pub async fn publish<E: DurableEvent>(&mut self, event: &E) -> Result<(), DatabaseError> {
        self.publish_new(NewEvent::of(event)).await
    }

    /// Publishes an event that is written already.
    async fn publish_new(&mut self, event: NewEvent) -> Result<(), DatabaseError> {
        let id: Uuid = self.id();
        let NewEvent { event_type, version, subject, data } = event;
        self.published.push(event_type);
        let values = params![id, event_type, version, subject, self.now, data, self.trace];
        let sql = "INSERT INTO outbox (id, type, version, subject, occurred_at, data, trace) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        self.connection.defer(sql, &values).await
    }

    /// Records that a statement changes what public pages show. The rows of a table with tags record it themselves.
    pub(crate) fn touch(&mut self, tag: CacheTag) {
        self.tags.insert(tag);
    }

    /// Publishes one event for all tags that the unit of work changed, if there are any.
    async fn publish_tags(&mut self) -> Result<(), DatabaseError> {
        let tags = std::mem::take(&mut self.tags);
        match self.tag_event {
            Some(event) if !tags.is_empty() => {
                // the pages change now, also by rows of the past
                self.set_context(self.own_context.clone());
                self.publish_new(event(&tags)).await
            }
            _ => Ok(()),
        }
    }

    /// Runs `work`, publishes the event of what it changed of public pages, increases the versions of the data of the
    /// users to whom other rows belong, and writes its entries of the audit log.
    pub(super) async fn run<A, T, E, F>(&mut self, work: &F, given: &A) -> Result<T, E>
    where
        A: 'static,
        E: From<DatabaseError>,
        F: for<'a> WorkFn<'a, A, Result<T, E>>,
    {
        let value = work(self, given).await?;
        self.publish_tags().await?;
        self.increase_data_versions().await?;
        self.append_entries().await?;
        Ok(value)
    }

    /// Returns whether the transaction may succeed when it is run again: after a deadlock, a serialization failure, or
    /// a change of a row that another transaction changed after this one had read it.
    pub(crate) fn must_retry(&self) -> bool {
        self.stale || self.connection.must_retry()
    }

    /// Returns whether the transaction failed as a whole, by a deadlock or a serialization failure, and may succeed
    /// when it is run again.
    pub(crate) fn is_aborted(&self) -> bool {
        self.connection.must_retry()
    }

    /// Returns the types of the events that were published.
    pub(crate) fn take_published(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.published)
    }
}

impl Deref for UnitOfWork {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for UnitOfWork {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl fmt::Debug for UnitOfWork {
    /// Omits the rows that it has locked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engine, published) = (self.engine(), &self.published);
        let mut shown = f.debug_struct("UnitOfWork");
        shown.field("engine", &engine).field("published", published).finish_non_exhaustive()
    }
}

/// Returns the number by which PostgreSQL locks a name.
fn lock_number(name: &str) -> i64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// A unit of work that waits for the SQLite writer, with the channel for its result.
pub(crate) struct PendingWork<A, T, E, F> {
    pub(crate) given: A,
    pub(crate) work: F,
    pub(crate) context: Context,
    pub(crate) origin: Origin,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) result: Option<Result<T, E>>,
    pub(crate) published: Vec<&'static str>,
    pub(crate) reply: oneshot::Sender<(Result<T, E>, Vec<&'static str>)>,
}

impl<A, T, E, F> Unit for PendingWork<A, T, E, F>
where
    A: Send + Sync + 'static,
    T: Send,
    E: From<DatabaseError> + Send,
    F: for<'a> WorkFn<'a, A, Result<T, E>> + Send,
{
    fn run(&mut self, connection: SqliteConnection) -> (SqliteConnection, bool) {
        let connection = Connection::new(EngineConnection::Sqlite(connection));
        let mut work = UnitOfWork::new(connection, self.context.clone(), self.origin.clone(), self.trace);
        let ran = catch_unwind(AssertUnwindSafe(|| complete(work.run(&self.work, &self.given))));
        let result =
            ran.unwrap_or_else(|_| Err(DatabaseError::Internal("a unit of work panicked".into()).into()));
        self.published = work.take_published();
        let succeeded = result.is_ok();
        self.result = Some(result);
        match work.connection.into_inner() {
            EngineConnection::Sqlite(connection) => (connection, succeeded),
            EngineConnection::Postgres(_) => unreachable!("the writer's connection is SQLite's"),
        }
    }

    fn finish(self: Box<Self>, committed: Result<(), DatabaseError>) {
        let result = match (self.result, committed) {
            (Some(result @ Err(_)), _) | (Some(result), Ok(())) => result,
            (Some(Ok(_)) | None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(DatabaseError::Internal("a unit of work was not run".into()).into()),
        };
        // the caller may have stopped waiting; the work is committed all the same
        let _ = self.reply.send((result, self.published));
    }
}

/// Runs work that awaits nothing but its connection, which on SQLite is always ready.
pub(crate) fn complete<T, E: From<DatabaseError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match pin!(work).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(DatabaseError::Internal("a unit of work awaited something other than its connection".into())
                .into())
        }
    }
}
