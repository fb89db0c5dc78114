//! What happens in one transaction: state and events together, or not at all.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, Waker};

use jiff::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::error::StoreError;
use super::session::{Connection, Session};
use super::sqlite::{SqliteConnection, Unit};
use super::value::{Param, params};
use crate::domain::context::Context;
use crate::domain::events::DomainEvent;

/// What a unit of work does: a future that awaits nothing but its own session.
pub type Work<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// An open transaction. It commits when the closure that was given it returns `Ok`, and else leaves no trace.
pub struct UnitOfWork {
    session: Session,
    context: Context,
    now: Timestamp,
    published: bool,
}

impl UnitOfWork {
    pub(super) fn new(session: Session, context: Context) -> Self {
        Self { session, now: context.clock.now(), context, published: false }
    }

    /// When this unit of work happens: one instant for all of it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A new id.
    pub fn id<T: From<Uuid>>(&self) -> T {
        T::from(self.context.ids.uuid())
    }

    /// Fills `out` with bytes that nobody can guess.
    pub fn secret(&self, out: &mut [u8]) {
        self.context.ids.secret(out);
    }

    /// From here on it happens at another time and with other ids: an import replays history.
    pub fn set_context(&mut self, context: Context) {
        self.now = context.clock.now();
        self.context = context;
    }

    /// Begins a part of the work that may be undone by itself.
    pub async fn begin_part(&mut self) -> Result<(), StoreError> {
        self.script("SAVEPOINT part").await
    }

    /// Keeps the part that was begun last.
    pub async fn keep_part(&mut self) -> Result<(), StoreError> {
        self.script("RELEASE SAVEPOINT part").await
    }

    /// Leaves no trace of the part that was begun last.
    pub async fn undo_part(&mut self) -> Result<(), StoreError> {
        self.script("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await
    }

    /// Goes on once no other unit of work that takes this turn is open: for a rule that no single row can hold.
    pub async fn take_turn(&mut self, name: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO counters (name, value) VALUES ('turn/' || $1, 1) \
                   ON CONFLICT (name) DO UPDATE SET value = counters.value + 1";
        self.execute(sql, &params![name]).await.map(drop)
    }

    /// Publishes an event with this transaction: it is delivered if and only if the transaction commits.
    pub async fn publish<E: DomainEvent>(&mut self, event: &E) -> Result<(), StoreError> {
        self.published = true;
        let id: Uuid = self.id();
        let values = params![id, E::TYPE, E::VERSION, event.subject(), self.now];
        let [id, kind, version, subject, at] = values;
        self.session
            .execute(
                "INSERT INTO outbox (id, type, version, subject, occurred_at, data) VALUES ($1, $2, $3, $4, $5, $6)",
                &[id, kind, version, subject, at, Param::json(event)],
            )
            .await
            .map(drop)
    }

    /// Whether it published anything.
    pub(super) fn published(&self) -> bool {
        self.published
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        self.session.connection_mut()
    }

    /// Gives the writer its connection back.
    pub(super) fn into_sqlite(self) -> SqliteConnection {
        match self.session.into_connection() {
            Connection::Sqlite(connection) => connection,
            Connection::Postgres(_) => unreachable!("the writer hands out its own connection"),
        }
    }
}

impl Deref for UnitOfWork {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for UnitOfWork {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// A unit on its way to the SQLite writer, with the way back for its answer.
pub(super) struct Pending<T, E, F> {
    pub(super) work: F,
    pub(super) outcome: Option<Result<T, E>>,
    pub(super) published: bool,
    pub(super) reply: oneshot::Sender<(Result<T, E>, bool)>,
}

impl<T, E, F> Unit for Pending<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, T, E> + Send,
{
    fn run(&mut self, unit_of_work: &mut UnitOfWork) -> bool {
        let ran =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| complete((self.work)(unit_of_work))));
        let outcome =
            ran.unwrap_or_else(|_| Err(StoreError::Internal("a unit of work panicked".into()).into()));
        self.published = unit_of_work.published();
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.outcome, committed) {
            (Some(outcome @ Err(_)), _) | (Some(outcome), Ok(())) => outcome,
            (Some(Ok(_)) | None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StoreError::Internal("a unit of work was not run".into()).into()),
        };
        // Whoever asked may have gone away: the work is done all the same.
        let _ = self.reply.send((answer, self.published));
    }
}

/// Runs work that awaits nothing but its session, which on SQLite is always ready.
fn complete<T, E: From<StoreError>>(mut work: Work<'_, T, E>) -> Result<T, E> {
    match work.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(StoreError::Internal("a unit of work awaited something else".into()).into()),
    }
}
