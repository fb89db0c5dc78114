//! Replay: events that a subscriber has read are delivered to it once more.

use jiff::Timestamp;

use super::event_dispatcher::EventDispatcher;
use super::{cursor, subscriber::Subscriber};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Conditions, UnitOfWork, params};

/// The number of positions of which the events are scheduled in one unit of work.
const POSITIONS: i64 = 10_000;

/// Which of the events that a subscriber has read are delivered again. By default all that are kept.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Only the event at this position.
    pub position: Option<i64>,
    /// Only events of this type, such as `order.paid`.
    pub event_type: Option<String>,
    /// Only events that were published at this time or later.
    pub since: Option<Timestamp>,
}

impl EventDispatcher {
    /// Schedules events for one more delivery to a subscriber, in their order; returns their number. Later events of
    /// their subjects are delivered after them. A subscriber that ignores repeated events, such as `emails`, ignores
    /// these too.
    pub async fn replay(&self, subscriber: &Subscriber, replay: Replay) -> Result<u64, Failure> {
        let (mut after, until) = self.kept(subscriber, &replay).await?;
        let mut scheduled = 0;
        while after < until {
            let part = (after, until.min(after.saturating_add(POSITIONS)));
            let given = (subscriber.clone(), replay.clone(), part);
            let write = self.database().write(given, async |work, (subscriber, replay, part)| {
                schedule(work, subscriber, replay, *part).await
            });
            scheduled += write.await?;
            after = part.1;
        }
        // the events are delivered as if they had been published now
        self.database().committed().notify_waiters();
        Ok(scheduled)
    }

    /// Returns the positions between which the events are that a subscriber has read and a replay may select.
    async fn kept(&self, subscriber: &Subscriber, replay: &Replay) -> Result<(i64, i64), Failure> {
        let mut connection = self.database().read().await?;
        let read = cursor::position(&mut connection, subscriber.name()).await?;
        if let Some(position) = replay.position {
            return Ok((position - 1, position.min(read)));
        }
        let first: i64 = connection.one("SELECT COALESCE(MIN(seq), 1) FROM outbox", &[]).await?;
        Ok((first - 1, read))
    }
}

/// Schedules the selected events between two positions; returns their number.
async fn schedule(
    work: &mut UnitOfWork,
    subscriber: &Subscriber,
    replay: &Replay,
    (after, until): (i64, i64),
) -> Result<u64, Failure> {
    cursor::lock(work, subscriber.name()).await?;
    let conditions = Conditions::default()
        .compare("seq >", after)
        .compare("seq <=", until)
        .any_of("type", subscriber.types().iter().copied())
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
