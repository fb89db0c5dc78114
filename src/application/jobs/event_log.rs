//! The log of events and the subscribers, as administrators see them.

use uuid::Uuid;

use super::subscribers;
use crate::application::Store;
use crate::infrastructure::events::{Envelope, EventDispatcher, EventFilter, EventLogger, Lag, Replay};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::Page;

/// Returns a page of events, the last published first.
pub async fn events(
    store: &Store,
    filter: &EventFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<Envelope>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(EventLogger(&mut connection).list(filter, &request).await?)
}

/// Returns an event.
///
/// # Errors
///
/// [`NotFound::Event`].
pub async fn event(store: &Store, id: Uuid) -> Result<Envelope, Failure> {
    let mut connection = store.database().read().await?;
    Ok(EventLogger(&mut connection).find(id).await?.ok_or(NotFound::Event)?)
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
    let mut connection = store.database().read().await?;
    Ok(EventLogger(&mut connection).after(position, filter, limit).await?)
}

/// Returns each subscriber with the events that wait for it.
pub async fn lag(store: &Store) -> Result<Vec<Lag>, Failure> {
    dispatcher(store).lag().await
}

/// Schedules events for one more delivery to a subscriber; returns their number.
///
/// # Errors
///
/// [`NotFound::Subscriber`].
pub async fn replay(store: &Store, subscriber: &str, replay: Replay) -> Result<u64, Failure> {
    Ok(dispatcher(store).replay(subscriber, replay).await?.ok_or(NotFound::Subscriber)?)
}

/// Returns a dispatcher for the subscribers of the store.
pub(super) fn dispatcher(store: &Store) -> EventDispatcher {
    EventDispatcher::new(store.database().clone(), subscribers())
}
