//! Replay: events that a subscriber has read are delivered to it once more.

use jiff::Timestamp;
use uuid::Uuid;

use super::event_dispatcher::EventDispatcher;
use super::{cursor, subscriber::Subscriber};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Conditions, UnitOfWork, params};

/// Which of the events that a subscriber has read are delivered again. By default all that are kept.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Only the event with this id.
    pub event: Option<Uuid>,
    /// Only events of this type, such as `order.paid`.
    pub event_type: Option<String>,
    /// Only events that were published at this time or later.
    pub since: Option<Timestamp>,
}

impl EventDispatcher {
    /// Schedules events for one more delivery to a subscriber, in their order; returns their number, `None` if there is
    /// no such subscriber. Later events of their subjects are delivered after them.
    ///
    /// # Errors
    ///
    /// Only those of the database.
    pub async fn replay(&self, subscriber: &str, replay: Replay) -> Result<Option<u64>, Failure> {
        let Some(subscriber) = self.subscriber(subscriber).cloned() else { return Ok(None) };
        let write = self.database().write((subscriber, replay), async |work, (subscriber, replay)| {
            Ok::<_, Failure>(Some(schedule(work, subscriber, replay).await?))
        });
        let scheduled = write.await?;
        // the events are delivered as if they had been published now
        self.database().committed().notify_waiters();
        Ok(scheduled)
    }
}

async fn schedule(work: &mut UnitOfWork, subscriber: &Subscriber, replay: &Replay) -> Result<u64, Failure> {
    let read = cursor::lock(work, subscriber.name()).await?;
    let conditions = Conditions::default()
        .compare("seq <=", read)
        .any_of("type", subscriber.types())
        .compare_some("id =", replay.event)
        .compare_some("type =", replay.event_type.as_deref())
        .compare_some("occurred_at >=", replay.since);
    let mut values = conditions.values().to_vec();
    let next = values.len() + 1;
    let sql = format!(
        "INSERT INTO postponed_events (subscriber, seq, subject, attempts, due_at) \
         SELECT ${next}, seq, subject, 0, ${} FROM outbox WHERE {conditions} \
         ON CONFLICT (subscriber, seq) DO NOTHING",
        next + 1
    );
    values.extend(params![subscriber.name(), work.now()]);
    Ok(work.execute(&sql, &values).await?)
}
