//! The notifications of a user: listed, counted, marked as read.

use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::{Channel, Notification};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{NotificationFilter, NotificationRepository, Page};

use crate::application::Store;

/// A page of a user's notifications.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// The page, newest first.
    pub page: Page<Notification>,
    /// The number of unread notifications in all pages.
    pub unread: i64,
}

/// Returns a page of a user's notifications in the app: all of them, or the unread ones.
pub async fn inbox(
    store: &Store,
    user_id: UserId,
    unread: bool,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Inbox, Failure> {
    let request = store.database().page_request(limit, cursor);
    let filter = |unread| NotificationFilter { user_id, channel: Some(Channel::InApp), unread };

    let mut connection = store.database().read().await?;
    let mut notifications = NotificationRepository(&mut connection);
    let page = notifications.list(&filter(unread), &request).await?;
    Ok(Inbox { page, unread: notifications.count(&filter(true)).await? })
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
