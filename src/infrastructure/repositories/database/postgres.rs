//! The PostgreSQL engine: a connection, whose statements are prepared once and sent together where possible.

use std::pin::pin;
use std::sync::Arc;

use deadpool_postgres::Object;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{Row, Statement};

use super::error::DatabaseError;
use super::param::Param;
use super::postgres_silence::Silence;

/// The most messages that are sent without waiting for the replies in between.
const TOGETHER: usize = 30;

/// A connection in use. If it is dropped inside a transaction, or after the server did not respond, it is closed, which
/// rolls the transaction back.
///
/// Statements whose results the caller does not need are queued. They are sent together with the next statement whose
/// result is needed, in one round trip. The server runs them in order; after one that fails, the others fail too, and
/// the first error is returned.
pub(crate) struct PostgresConnection {
    object: Option<Object>,
    state: State,
    queue: Vec<Queued>,
    /// The replies to statements that were sent ahead.
    ahead: Vec<(Ahead, Reply)>,
    /// Waits for the server not to respond.
    silence: Arc<Silence>,
    /// The error with which every statement fails since the server did not respond to one.
    lost: Option<DatabaseError>,
    /// Held by a connection that writes until it is dropped.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The state of a connection's transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is none.
    Idle,
    /// Its `BEGIN` is queued. Nothing was sent yet.
    Queued,
    /// It is open.
    Open,
    /// A statement failed: the server ignores all that follows until the rollback.
    Failed {
        /// Whether the same transaction may succeed when it is run again.
        retryable: bool,
    },
}

/// A statement that waits to be sent.
enum Queued {
    Script(&'static str),
    Statement(String, Vec<Param<'static>>),
    Ahead(Ahead),
}

/// A statement that is sent ahead of the call that needs its result.
struct Ahead {
    sql: String,
    params: Vec<Param<'static>>,
}

impl Ahead {
    fn is(&self, message: Message<'_>) -> bool {
        matches!(message, Message::Statement(sql, params) if self.sql == sql && self.params == params)
    }
}

impl Queued {
    fn message(&self) -> Message<'_> {
        match self {
            Self::Script(script) => Message::Script(script),
            Self::Statement(sql, params) | Self::Ahead(Ahead { sql, params }) => {
                Message::Statement(sql, params)
            }
        }
    }
}

/// A statement on its way to the server.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    /// Statements without parameters, such as `BEGIN`.
    Script(&'a str),
    /// A statement that is prepared once per connection.
    Statement(&'a str, &'a [Param<'a>]),
}

/// The server's reply to a message.
#[derive(Default)]
pub(crate) struct Reply {
    /// The rows of a query.
    pub(crate) rows: Vec<Row>,
    /// The number of rows that the statement changed.
    changed: u64,
}

impl PostgresConnection {
    pub(super) fn new(object: Object, permit: Option<OwnedSemaphorePermit>, silence: Arc<Silence>) -> Self {
        let (queue, ahead) = (Vec::new(), Vec::new());
        let (object, state) = (Some(object), State::Idle);
        Self { object, state, queue, ahead, silence, lost: None, _permit: permit }
    }

    fn get(&self) -> &Object {
        #[expect(clippy::expect_used, reason = "the connection is there until it is dropped")]
        self.object.as_ref().expect("a connection in use")
    }

    /// Begins a transaction, by the statement `mode`, with the first statement in it.
    ///
    /// If the caller stops waiting after the first statement was sent, the connection is closed and no transaction
    /// stays open.
    pub(crate) fn begin(&mut self, mode: &'static str) {
        self.queue = vec![Queued::Script(mode)];
        self.ahead.clear();
        self.state = State::Queued;
    }

    /// Sends what is queued and commits. Fails if a statement failed before and was not rolled back to a savepoint.
    pub(crate) async fn commit(&mut self) -> Result<(), DatabaseError> {
        if let State::Failed { retryable } = self.state {
            self.roll_back().await?;
            let message = "an earlier statement of the transaction failed".to_owned();
            let error = if retryable { DatabaseError::Retryable } else { DatabaseError::Internal };
            return Err(error(message));
        }
        let only_begin = self.state == State::Queued && self.queue.len() == 1;
        if only_begin || self.state == State::Idle {
            return self.roll_back().await;
        }

        let (queued, commit) = self.finish("COMMIT").await?;
        if commit.is_ok() {
            // the server has rolled back if what was queued failed
            self.state = State::Idle;
            return queued;
        }
        let commit = commit.map_err(DatabaseError::of_commit);
        if matches!(commit, Err(DatabaseError::OutcomeUnknown(_))) { commit } else { queued.and(commit) }
    }

    /// Rolls back. What is queued is not sent.
    pub(crate) async fn roll_back(&mut self) -> Result<(), DatabaseError> {
        self.queue.clear();
        self.ahead.clear();
        if !matches!(self.state, State::Idle | State::Queued) {
            self.finish("ROLLBACK").await?.1?;
        }
        self.state = State::Idle;
        Ok(())
    }

    /// Sends what is queued and rolls back to a savepoint by `script`. Errors of what is queued are ignored: either the
    /// savepoint was set before it, or this fails too.
    pub(crate) async fn roll_back_to(&mut self, script: &str) -> Result<(), DatabaseError> {
        // a statement before the savepoint may have been sent ahead of a change that is rolled back now
        self.ahead.clear();
        let (_, rolled_back) = self.finish(script).await?;
        if rolled_back.is_ok() {
            self.state = State::Open;
        }
        rolled_back
    }

    /// Returns whether the transaction failed and may succeed when it is run again.
    pub(crate) fn must_retry(&self) -> bool {
        self.state == State::Failed { retryable: true }
    }

    /// Queues a statement. An error of it is returned by the next statement that is sent, or by the commit.
    pub(crate) async fn defer(&mut self, sql: &str, params: &[Param<'_>]) -> Result<(), DatabaseError> {
        if self.state == State::Idle {
            return self.execute(sql, params).await.map(drop);
        }
        let params = params.iter().cloned().map(Param::into_owned).collect();
        self.queue.push(Queued::Statement(sql.to_owned(), params));
        if self.queue.len() < TOGETHER { Ok(()) } else { self.flush(None).await.map(drop) }
    }

    /// Queues a statement whose result a later call needs: it runs the same statement with the same parameters.
    pub(crate) fn send_ahead(&mut self, sql: &str, params: &[Param<'_>]) {
        let params = params.iter().cloned().map(Param::into_owned).collect();
        self.queue.push(Queued::Ahead(Ahead { sql: sql.to_owned(), params }));
    }

    /// Queues a script of a transaction, such as `SAVEPOINT`.
    pub(crate) fn defer_script(&mut self, script: &'static str) {
        self.queue.push(Queued::Script(script));
    }

    pub(crate) async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DatabaseError> {
        Ok(self.run_one(Message::Statement(sql, params)).await?.rows)
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, DatabaseError> {
        Ok(self.run_one(Message::Statement(sql, params)).await?.changed)
    }

    pub(crate) async fn script(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.run_one(Message::Script(sql)).await.map(drop)
    }

    /// Runs a statement, together with what is queued, or returns its reply if it was sent ahead.
    async fn run_one(&mut self, message: Message<'_>) -> Result<Reply, DatabaseError> {
        if self.queue.iter().any(|queued| matches!(queued, Queued::Ahead(ahead) if ahead.is(message))) {
            self.flush(None).await?;
        }
        if let Some(known) = self.ahead.iter().position(|(ahead, _)| ahead.is(message)) {
            return Ok(self.ahead.remove(known).1);
        }
        Ok(self.flush(Some(message)).await?.unwrap_or_default())
    }

    /// Sends what is queued and a message in one round trip; returns the reply to the message.
    async fn flush(&mut self, message: Option<Message<'_>>) -> Result<Option<Reply>, DatabaseError> {
        let queue = std::mem::take(&mut self.queue);
        let all: Vec<_> = queue.iter().map(Queued::message).chain(message).collect();
        let replies = self.send(&all).await?;
        let mut replies = replies.into_iter().collect::<Result<Vec<_>, _>>()?;
        let reply = message.and_then(|_| replies.pop());
        self.ahead.extend(queue.into_iter().zip(replies).filter_map(|(queued, reply)| match queued {
            Queued::Ahead(ahead) => Some((ahead, reply)),
            Queued::Script(_) | Queued::Statement(..) => None,
        }));
        Ok(reply)
    }

    /// Sends what is queued and a script; returns the first error of what is queued and the result of the script. Fails
    /// if nothing was sent.
    async fn finish(
        &mut self,
        script: &str,
    ) -> Result<(Result<(), DatabaseError>, Result<(), DatabaseError>), DatabaseError> {
        let queue = std::mem::take(&mut self.queue);
        let all: Vec<_> = queue.iter().map(Queued::message).chain([Message::Script(script)]).collect();
        let mut replies = self.send(&all).await?;
        let last = replies.pop().map_or(Ok(()), |reply| reply.map(drop));
        Ok((replies.into_iter().try_for_each(|reply| reply.map(drop)), last))
    }

    /// Sends messages without waiting for the replies in between; returns the reply to each. Fails if a statement
    /// cannot be prepared: then nothing is sent.
    async fn send(
        &mut self,
        messages: &[Message<'_>],
    ) -> Result<Vec<Result<Reply, DatabaseError>>, DatabaseError> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        if self.state == State::Queued {
            self.state = State::Open;
        }
        let client = self.get();
        let preparing = join_all(messages.iter().map(|message| prepare(client, *message)));
        let prepared = tokio::select! {
            biased;
            prepared = preparing => prepared,
            error = self.silence.begins() => return Err(self.lose(error)),
        };
        let statements = match prepared.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(statements) => statements,
            Err(error) => return self.record(Err(error)),
        };
        let mut replies = Vec::with_capacity(messages.len());
        // `join_all` begins up to 30 futures in their order, and each sends its message before it first waits
        let pairs: Vec<_> = messages.iter().zip(&statements).collect();
        for pairs in pairs.chunks(TOGETHER) {
            let sent = pairs.iter().map(|(message, statement)| send(client, **message, statement.as_ref()));
            let sending = join_all(sent);
            tokio::select! {
                biased;
                sent = sending => replies.extend(sent),
                error = self.silence.begins() => {
                    let error = self.lose(error);
                    // each may have been executed
                    return Ok(messages.iter().map(|_| Err(error.clone())).collect());
                }
            }
        }
        Ok(replies.into_iter().map(|reply| self.record(reply)).collect())
    }

    /// Records that the server does not respond: nothing is sent on the connection any more.
    fn lose(&mut self, error: DatabaseError) -> DatabaseError {
        if self.state == State::Open {
            self.state = State::Failed { retryable: false };
        }
        self.lost = Some(error.clone());
        error
    }

    /// Records an error in the state of the transaction.
    fn record<T>(&mut self, result: Result<T, tokio_postgres::Error>) -> Result<T, DatabaseError> {
        let result = result.map_err(DatabaseError::from);
        if let (Err(error), State::Open) = (&result, self.state) {
            self.state = State::Failed { retryable: matches!(error, DatabaseError::Retryable(_)) };
        }
        result
    }
}

async fn prepare(client: &Object, message: Message<'_>) -> Result<Option<Statement>, tokio_postgres::Error> {
    match message {
        Message::Script(_) => Ok(None),
        Message::Statement(sql, _) => client.prepare_cached(sql).await.map(Some),
    }
}

async fn send(
    client: &Object,
    message: Message<'_>,
    statement: Option<&Statement>,
) -> Result<Reply, tokio_postgres::Error> {
    match (message, statement) {
        (Message::Statement(_, params), Some(statement)) => {
            let mut stream = pin!(client.query_raw(statement, params).await?);
            let mut rows = Vec::new();
            while let Some(row) = stream.next().await {
                rows.push(row?);
            }
            Ok(Reply { rows, changed: stream.rows_affected().unwrap_or(0) })
        }
        (Message::Script(script) | Message::Statement(script, _), _) => {
            client.batch_execute(script).await.map(|()| Reply::default())
        }
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        if (self.lost.is_some() || !matches!(self.state, State::Idle | State::Queued))
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return if error.is_closed()
                || std::error::Error::source(&error)
                    .is_some_and(<dyn std::error::Error + 'static>::is::<std::io::Error>)
            {
                Self::Unavailable(with_cause(&error))
            } else {
                Self::Internal(with_cause(&error))
            };
        };
        let message = database.message().to_owned();
        let constraint = database.constraint().unwrap_or_default().to_owned();
        match database.code() {
            &SqlState::UNIQUE_VIOLATION => Self::Taken { constraint },
            &SqlState::CHECK_VIOLATION => Self::of_check(constraint),
            &SqlState::NOT_NULL_VIOLATION => {
                let (table, column) = (database.table().unwrap_or("?"), database.column().unwrap_or("?"));
                Self::CheckFailed { constraint: format!("{table}.{column}") }
            }
            &SqlState::FOREIGN_KEY_VIOLATION => Self::ForeignKey(message),
            &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE => {
                Self::Retryable(message)
            }
            &SqlState::INVALID_CATALOG_NAME => {
                Self::Missing(format!("{message}; create it with `CREATE DATABASE`"))
            }
            &SqlState::DISK_FULL => Self::Full(message),
            &SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly(message),
            &SqlState::LOCK_NOT_AVAILABLE => Self::Unavailable(message),
            code if code.code().starts_with("08")
                || code.code().starts_with("53")
                || code.code().starts_with("57") =>
            {
                Self::Unavailable(message)
            }
            // the server has closed the connection
            _ if matches!(database.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) => {
                Self::Unavailable(message)
            }
            _ => Self::Internal(message),
        }
    }
}

/// Returns the text of an error and of its cause.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
