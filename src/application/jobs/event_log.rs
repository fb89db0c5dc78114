//! The log of events and the subscribers, as administrators see them.

use jiff::Timestamp;
use uuid::Uuid;

use super::JobContext;
use crate::application::Store;
use crate::infrastructure::events::{self, Envelope, EventFilter, EventLogger, Lag, Replay};
use crate::infrastructure::exceptions::{Failure, Fault, NotFound, ValidationException};
use crate::infrastructure::repositories::Page;

/// Returns a page of events, the last published first.
pub async fn list(
    store: &Store,
    filter: &EventFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<Envelope>, Failure> {
    // the events of a rare type are found by reading the others
    let given = (store.clone(), filter.clone(), limit, cursor.map(str::to_owned));
    let read = store.database().snapshot(given, async |connection, (store, filter, limit, cursor)| {
        let request = store.database().page_request(limit, cursor.as_deref());
        Ok(EventLogger(connection).list(&filter, &request).await?)
    });
    read.await
}

/// Returns an event.
///
/// # Errors
///
/// [`NotFound::Event`].
pub async fn event(store: &Store, id: Uuid) -> Result<Envelope, Failure> {
    let read = store.database().snapshot(id, async |connection, id| {
        EventLogger(connection).find(id).await?.ok_or_else(|| Failure::from(NotFound::Event))
    });
    read.await
}

/// Returns the last `limit` events in the order of their delivery, and the position after which [`after`] continues.
pub async fn last(
    store: &Store,
    filter: &EventFilter,
    limit: usize,
) -> Result<(Vec<Envelope>, i64), Failure> {
    let mut connection = store.database().read().await?;
    Ok(EventLogger(&mut connection).last(filter, limit).await?)
}

/// Returns the first `limit` events after a position, and the position after which the next call continues.
pub async fn after(
    store: &Store,
    position: i64,
    filter: &EventFilter,
    limit: usize,
) -> Result<(Vec<Envelope>, i64), Failure> {
    let given = (position, filter.clone(), limit);
    let read = store.database().snapshot(given, async |connection, (position, filter, limit)| {
        Ok(EventLogger(connection).after(position, &filter, limit).await?)
    });
    read.await
}

/// Returns a position as a signed text, for clients that continue after it.
pub fn position_id(store: &Store, position: i64) -> Result<String, Failure> {
    Ok(events::position_id(store.database().signing_key(), position)?)
}

/// Returns the position of a text that [`position_id`] returned; `None` for any other text.
pub fn position_of_id(store: &Store, id: &str) -> Option<i64> {
    events::position_of_id(store.database().signing_key(), id).ok()
}

/// Returns each subscriber with the events that wait for it.
pub async fn lag(store: &Store) -> Result<Vec<Lag>, Failure> {
    JobContext::new(store).dispatcher.lag().await
}

/// Which events are delivered again to a subscriber. If nothing is selected, all that are kept.
#[derive(Debug, Clone, Default)]
pub struct ReplayRequest {
    /// Only the event with this id.
    pub event: Option<Uuid>,
    /// Only events of this type, one of those that are delivered to the subscriber.
    pub event_type: Option<String>,
    /// Only events that were published at this time or later.
    pub since: Option<Timestamp>,
}

/// Schedules events for one more delivery to a subscriber; returns their number.
///
/// # Errors
///
/// [`NotFound::Subscriber`], [`NotFound::Event`], and [`Fault::NotAllowed`] for a type that is not delivered to it.
pub async fn replay(store: &Store, subscriber: &str, request: ReplayRequest) -> Result<u64, Failure> {
    let dispatcher = JobContext::new(store).dispatcher;
    let subscriber = dispatcher.subscriber(subscriber).ok_or(NotFound::Subscriber)?;
    if request.event_type.as_ref().is_some_and(|name| !subscriber.types().contains(&name.as_str())) {
        let allowed = subscriber.types().iter().map(|&name| name.into()).collect();
        return Err(ValidationException::one("/type", Fault::NotAllowed { allowed }).into());
    }
    let position = match request.event {
        Some(id) => Some(event(store, id).await?.position),
        None => None,
    };
    let replay = Replay { position, event_type: request.event_type, since: request.since };
    dispatcher.replay(subscriber, replay).await
}

/// Returns the kind of the store's broker, and whether it has what the store needs; `None` without a broker.
pub async fn broker_state(store: &Store) -> Option<(&'static str, Result<bool, Failure>)> {
    let broker = store.infrastructure.broker.as_ref()?;
    let groups: Vec<_> = super::subscribers().iter().map(|subscriber| subscriber.name().to_owned()).collect();
    let state = async {
        broker.check_owner(store.database()).await?;
        Ok(broker.transport.state(&groups).await?.is_some())
    };
    Some((broker.transport.kind(), state.await))
}
