//! The notifications of a user: listed, counted, marked as read.

use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::Channel;
use crate::domain::user::UserData;
use crate::infrastructure::cache::{Inbox, NewestNotifications, Own, Private, ReadStatus, Served};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{DEFAULT_LIMIT, NotificationFilter, NotificationRepository};

use crate::application::Store;

/// Returns a page of the notifications in the app of the user who sends the request: all of them, or the unread ones.
/// Only the first page of the default length is kept, and comes with what came of its read.
pub async fn inbox(
    store: &Store,
    data: UserData,
    key: NewestNotifications,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Private<Inbox>, Option<ReadStatus>), Failure> {
    if cursor.is_none() && limit == DEFAULT_LIMIT {
        let Served { value, status, .. } =
            store.infrastructure.caches.own().notification.served(&Own { data, key }).await?;
        return Ok((value, Some(status)));
    }
    let filter =
        NotificationFilter { user_id: data.user_id, channel: Some(Channel::InApp), unread: key.unread };
    Ok((Private::new(Inbox::read(store.database(), &filter, limit, cursor).await?), None))
}

/// Marks one notification of a user as read.
pub async fn mark_read(store: &Store, user_id: UserId, id: NotificationId) -> Result<(), Failure> {
    let write = store.database().write((user_id, id), async |work, (user_id, id)| {
        NotificationRepository::mark_read(work, *user_id, *id).await.map_err(Failure::from)
    });
    if write.await? { Ok(()) } else { Err(NotFound::Notification.into()) }
}

/// Marks all notifications of a user as read.
pub async fn mark_all_read(store: &Store, user_id: UserId) -> Result<(), Failure> {
    let write = store.database().write(user_id, async |work, user_id| {
        NotificationRepository::mark_all_read(work, *user_id).await.map_err(Failure::from)
    });
    write.await.map(drop)
}
