//! How far a subscriber is behind.

use jiff::Timestamp;
use serde::Serialize;

use super::cursor::{self, RELAY};
use super::event_dispatcher::EventDispatcher;
use super::subscriber::Subscriber;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Connection, EventRange, Outbox, params};

/// The events that wait for a subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// The name of the subscriber.
    pub subscriber: &'static str,
    /// The types of events that are delivered to it; none are listed for the relay, to which all are.
    pub types: Vec<&'static str>,
    /// The number of published events that it has not read, 0 while it passes over them.
    pub unread: i64,
    /// The time at which the first of them was published; `None` if there are none.
    pub oldest_unread_at: Option<Timestamp>,
    /// The number of events that it has read and that wait for an attempt.
    pub postponed: i64,
    /// The time of the next of these attempts; `None` if there is none.
    pub next_attempt_at: Option<Timestamp>,
    /// The error of the last attempt of the event that is attempted next of those that failed; `None` if none failed.
    pub last_error: Option<String>,
    /// The number of its dead letters.
    pub dead_letters: i64,
}

impl EventDispatcher {
    /// Returns the lag of each subscriber.
    pub async fn lag(&self) -> Result<Vec<Lag>, Failure> {
        let mut connection = self.database().read().await?;
        let mut lags = Vec::with_capacity(self.subscribers().len());
        for subscriber in self.subscribers() {
            lags.push(lag_of(&mut connection, subscriber).await?);
        }
        if self.is_behind_broker() {
            lags.push(lag_of_relay(&mut connection).await?);
        }
        Ok(lags)
    }
}

/// Returns the lag of the relay, to which events of all types are delivered.
async fn lag_of_relay(connection: &mut Connection) -> Result<Lag, Failure> {
    let after = cursor::position(connection, RELAY).await?;
    let sql = "SELECT COUNT(*), MIN(occurred_at), (SELECT COUNT(*) FROM dead_letters WHERE subscriber = $2) \
               FROM outbox WHERE seq > $1";
    let (unread, oldest_unread_at, dead_letters) = connection.one(sql, &params![after, RELAY]).await?;
    Ok(Lag {
        subscriber: RELAY,
        types: Vec::new(),
        unread,
        oldest_unread_at,
        postponed: 0,
        next_attempt_at: None,
        last_error: None,
        dead_letters,
    })
}

async fn lag_of(connection: &mut Connection, subscriber: &Subscriber) -> Result<Lag, Failure> {
    let (name, types) = (subscriber.name(), subscriber.types());
    let after = cursor::position(connection, name).await?;
    let unread = EventRange { after, until: i64::MAX, types, unread_by: name };
    let (unread, oldest_unread_at) = if subscriber.handles_now(connection).await? {
        Outbox(connection).count(unread).await?
    } else {
        (0, None)
    };
    let sql = "SELECT COUNT(*), MIN(due_at), (SELECT error FROM postponed_events \
               WHERE subscriber = $1 AND error IS NOT NULL ORDER BY due_at, seq LIMIT 1), \
               (SELECT COUNT(*) FROM dead_letters WHERE subscriber = $1) \
               FROM postponed_events WHERE subscriber = $1";
    let (postponed, next_attempt_at, last_error, dead_letters) = connection.one(sql, &params![name]).await?;
    Ok(Lag {
        subscriber: name,
        types: types.to_vec(),
        unread,
        oldest_unread_at,
        postponed,
        next_attempt_at,
        last_error,
        dead_letters,
    })
}
