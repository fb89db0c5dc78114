//! The jobs that end or delete expired rows, a limited number in each unit of work.

use super::JobContext;
use crate::application::emails::sender;
use crate::application::files;
use crate::application::people::tokens::TOKEN_RETENTION;
use crate::application::webhooks::WEBHOOK_RETENTION;
use crate::domain::time::earlier;
use crate::infrastructure::events::jobs::HISTORY;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{
    CartRepository, IdempotencyRepository, JobRepository, SessionRepository, UserTokenRepository,
    WebhookRepository,
};

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

/// Deletes expired sessions, and the rows of sessions that were ended and would have expired.
pub(super) async fn purge_sessions(context: JobContext) -> Result<usize, Failure> {
    let purge = context.store.database().write((), async |work, ()| {
        let expired = SessionRepository::purge_expired(work, LIMIT).await?;
        Ok::<_, Failure>(expired + SessionRepository::purge_ended(work, LIMIT).await?)
    });
    purge.await.map(count)
}

/// Deletes tokens of users that have expired.
pub(super) async fn purge_user_tokens(context: JobContext) -> Result<usize, Failure> {
    let purge = context.store.database().write((), async |work, ()| {
        let before = earlier(work.now(), TOKEN_RETENTION);
        Ok::<_, Failure>(UserTokenRepository::purge(work, before, LIMIT).await?)
    });
    purge.await.map(count)
}

/// Deletes events that every subscriber has read and whose retention is over.
pub(super) async fn purge_events(context: JobContext) -> Result<usize, Failure> {
    context.dispatcher.purge(LIMIT).await.map(count)
}

/// Deletes the webhook deliveries whose retention is over, also those that wait for an endpoint that is not active.
pub(super) async fn purge_webhook_deliveries(context: JobContext) -> Result<usize, Failure> {
    let purge = context.store.database().write((), async |work, ()| {
        let before = earlier(work.now(), WEBHOOK_RETENTION);
        Ok::<_, Failure>(WebhookRepository::purge(work, before, LIMIT).await?)
    });
    purge.await.map(count)
}

/// Deletes the jobs that ended some time ago.
pub(super) async fn purge_jobs(context: JobContext) -> Result<usize, Failure> {
    let purge = context.store.database().write((), async |work, ()| {
        let before = earlier(work.now(), HISTORY);
        Ok::<_, Failure>(JobRepository::purge(work, before, LIMIT).await?)
    });
    purge.await.map(count)
}

/// Ends e-mails that no worker sent in time.
pub(super) async fn expire_emails(context: JobContext) -> Result<usize, Failure> {
    sender::expire(&context.store, LIMIT).await
}

/// Deletes e-mails that were sent or failed some time ago.
pub(super) async fn purge_emails(context: JobContext) -> Result<usize, Failure> {
    sender::purge(&context.store, LIMIT).await.map(count)
}

/// Removes contents of uploads that were interrupted and of files that were deleted.
pub(super) async fn clean_files(context: JobContext) -> Result<usize, Failure> {
    files::clean(&context.store).await
}

fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
