//! The jobs that delete expired rows, a limited number in each unit of work.

use super::job::JobContext;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{CartRepository, IdempotencyRepository, SessionRepository};

/// The most rows deleted in one unit of work.
const LIMIT: i64 = 1000;

/// Deletes expired carts, except those of pending orders.
pub(super) async fn purge_carts(context: JobContext) -> Result<usize, Failure> {
    let purge = context.store.database().write((), async |work, ()| {
        let now = work.now();
        Ok::<_, Failure>(CartRepository::purge(work, now, LIMIT).await?)
    });
    purge.await.map(count)
}

/// Deletes expired idempotency keys.
pub(super) async fn purge_idempotency_keys(context: JobContext) -> Result<usize, Failure> {
    let purge = context.store.database().write((), async |work, ()| {
        let now = work.now();
        Ok::<_, Failure>(IdempotencyRepository(work).purge(now, LIMIT).await?)
    });
    purge.await.map(count)
}

/// Deletes expired sessions.
pub(super) async fn purge_sessions(context: JobContext) -> Result<usize, Failure> {
    let purge = context
        .store
        .database()
        .write((), async |work, ()| Ok::<_, Failure>(SessionRepository::purge_expired(work, LIMIT).await?));
    purge.await.map(count)
}

/// Deletes events that every subscriber has read and whose retention is over.
pub(super) async fn purge_events(context: JobContext) -> Result<usize, Failure> {
    context.dispatcher.purge(LIMIT).await.map(count)
}

fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
