//! Dead letters, as administrators manage them.

use crate::domain::ids::DeadLetterId;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{DeadLetter, DeadLetterFilter, DeadLetterRepository, Page};

use super::event_log::dispatcher;
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

/// Delivers the event of a dead letter to its subscriber once more; see
/// [`EventDispatcher::retry`](crate::infrastructure::events::EventDispatcher::retry).
pub async fn retry(store: &Store, id: DeadLetterId) -> Result<Option<DeadLetter>, Failure> {
    dispatcher(store).retry(id).await
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
