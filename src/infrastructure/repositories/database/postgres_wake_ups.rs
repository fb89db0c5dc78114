//! Wake-ups between the processes of a store on PostgreSQL: a commit that published events notifies the other
//! processes, whose workers and streams read the events at once. They are a hint: what gets none polls.
//!
//! The transactions do not send them, because PostgreSQL lets those that do commit one after the other. A process sends
//! one for all commits of a few milliseconds, by NOTIFY on a channel that is named by the schema.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::AsyncMessage;

use super::connection::{Connection, EngineConnection};
use super::error::DatabaseError;
use super::postgres_pool::PostgresDatabase;
use super::{Backend, Database};
use crate::infrastructure::exceptions::RepeatedFailure;

/// The time in which commits share a notification.
const TOGETHER: Duration = Duration::from_millis(5);
/// The wait before the next attempt to listen.
const RECONNECT: Duration = Duration::from_secs(5);

const NOTIFY: &str = "SELECT pg_notify('undercroft_' || md5(current_schema()::text), '')";
const LISTEN: &str =
    "DO $$ BEGIN EXECUTE format('LISTEN %I', 'undercroft_' || md5(current_schema()::text)); END $$";

impl Database {
    /// Notifies the other processes, in the background, that events were committed.
    pub(super) fn wake_others(&self) {
        let Backend::Postgres(postgres) = &*self.backend else { return };
        if postgres.wake_up_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let database = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(TOGETHER).await;
            let Backend::Postgres(postgres) = &*database.backend else { return };
            postgres.wake_up_due.store(false, Ordering::Release);
            if let Err(error) = notify(postgres).await {
                tracing::debug!(%error, "other processes were not notified of a commit; they poll");
            }
        });
    }

    /// Ends the waits for [`Database::committed`] when another process has committed events. Never returns; a lost
    /// connection is opened again. On SQLite it only waits: other processes that have the store open poll.
    pub async fn listen(&self) {
        let Backend::Postgres(postgres) = &*self.backend else { return pending().await };
        let mut failing = RepeatedFailure::default();
        loop {
            let Err(error) = self.receive(postgres, &mut failing).await;
            let is_new = match &error {
                // its text alternates
                DatabaseError::Unavailable(_) => failing.begin_as("unavailable"),
                error => failing.begin_as(error),
            };
            if is_new {
                tracing::warn!(%error, "no notifications of commits by other processes: polling");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Receives notifications until the connection is lost. Ends the failures before when it begins.
    async fn receive(
        &self,
        postgres: &PostgresDatabase,
        failing: &mut RepeatedFailure,
    ) -> Result<Infallible, DatabaseError> {
        let (client, mut connection) = postgres.connect().await?;
        let listen = async {
            client.batch_execute(LISTEN).await?;
            if failing.has_begun() {
                tracing::info!("there are notifications of commits by other processes again");
                failing.end();
            }
            // of what was committed before
            self.committed.notify_waiters();
            pending().await
        };
        let receive = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    self.committed.notify_waiters();
                }
            }
            Err(DatabaseError::Unavailable("the connection was closed".into()))
        };
        tokio::select! {
            received = receive => received,
            failed = listen => failed,
        }
    }
}

async fn notify(postgres: &PostgresDatabase) -> Result<(), DatabaseError> {
    let connection = postgres.connection().await?;
    Connection::new(EngineConnection::Postgres(connection)).script(NOTIFY).await
}
