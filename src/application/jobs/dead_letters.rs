//! Dead letters, as administrators manage them.

use serde::Deserialize;

use crate::domain::ids::DeadLetterId;
use crate::infrastructure::events::jobs::JobRun;
use crate::infrastructure::events::{RELAY, Relay, Subscriber};
use crate::infrastructure::exceptions::{Failure, Kind, NotFound};
use crate::infrastructure::repositories::{DeadLetter, DeadLetterFilter, DeadLetterRepository, Page};

use super::JobContext;
use crate::application::Store;

/// Returns a page of dead letters, the last to fail first.
pub async fn dead_letters(
    store: &Store,
    filter: &DeadLetterFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<DeadLetter>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(DeadLetterRepository(&mut connection).list(filter, &request).await?)
}

/// Delivers the event of a dead letter to its subscriber once more, or publishes it to the broker; see
/// [`EventDispatcher::retry`](crate::infrastructure::events::EventDispatcher::retry).
pub async fn retry(store: &Store, id: DeadLetterId) -> Result<Option<DeadLetter>, Failure> {
    if let Some(broker) = &store.infrastructure.broker {
        let letter: DeadLetter =
            store.database().read().await?.find(id).await?.ok_or(NotFound::DeadLetter)?;
        if letter.subscriber == RELAY {
            let relay = Relay::new(store.database().clone(), broker.clone(), Vec::new());
            return relay.retry(letter).await;
        }
    }
    JobContext::new(store).dispatcher.retry(id).await
}

/// Removes a dead letter: its subscriber never handles the event.
///
/// # Errors
///
/// [`NotFound::DeadLetter`].
pub async fn discard(store: &Store, id: DeadLetterId) -> Result<(), Failure> {
    let write = store.database().write(id, async |work, id| {
        let removed = work.remove::<DeadLetter>(*id).await?;
        if removed { Ok(()) } else { Err(NotFound::DeadLetter.into()) }
    });
    write.await
}

/// The most dead letters that [`retry_all`] retries in one call.
const BATCH: usize = 100;

/// Which dead letters [`retry_all`] retries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryAll {
    /// Only those of this subscriber.
    subscriber: Option<String>,
}

/// The job that retries the dead letters that failed before it began, the first to fail first; returns the number of
/// those whose events are handled now. It does not end with a batch in which all fail again.
pub(super) async fn retry_all(context: JobContext, run: JobRun<RetryAll>) -> Result<usize, Failure> {
    // dead letters of a subscriber that is gone cannot be retried
    let relay = context.store.infrastructure.broker.as_ref().map(|_| RELAY);
    let subscribers = context.dispatcher.subscribers().iter().map(Subscriber::name).chain(relay);
    let subscribers: Vec<_> = match &run.arguments.subscriber {
        Some(only) => subscribers.filter(|name| name == only).collect(),
        None => subscribers.collect(),
    };
    loop {
        let letters = {
            let mut connection = context.store.database().read().await?;
            DeadLetterRepository(&mut connection).failed_before(run.started_at, &subscribers, BATCH).await?
        };
        let mut handled = 0;
        for &id in &letters {
            match retry(&context.store, id).await {
                // it was retried or discarded meanwhile
                Err(failure) if failure.kind() == Kind::Refused => {}
                retried => handled += usize::from(retried?.is_none()),
            }
        }
        if handled > 0 || letters.is_empty() || run.stop.is_cancelled() {
            return Ok(handled);
        }
    }
}
