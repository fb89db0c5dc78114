//! What the store told a user: listed, counted, read.

use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::{Channel, Notification};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{NotificationFilter, NotificationRepository, Page, UnitOfWork};

use crate::application::Store;

/// A page of a user's notifications.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// The page, newest first.
    pub page: Page<Notification>,
    /// How many of all are not read yet.
    pub unread: i64,
}

/// What the store told a user in the store itself: all of it, or what is not read yet.
pub async fn inbox(
    store: &Store,
    user_id: UserId,
    unread: bool,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Inbox, Failure> {
    let list = format!("notifications {user_id} {unread}");
    let cursors = store.database().cursor_key().cursors(&list);
    let after = cursor.map(|cursor| cursors.decode(cursor)).transpose()?;
    let shown = |unread| NotificationFilter { channel: Some(Channel::InApp), unread };
    let mut session = store.database().read().await?;
    let mut notifications = NotificationRepository(&mut session);
    let page = notifications.list(user_id, shown(unread), limit, after, &cursors).await?;
    Ok(Inbox { page, unread: notifications.count(user_id, shown(true)).await? })
}

/// Notes that a user has read one of theirs.
pub async fn read(work: &mut UnitOfWork, user_id: UserId, id: NotificationId) -> Result<(), Failure> {
    if NotificationRepository::mark_read(work, user_id, id).await? {
        return Ok(());
    }
    Err(NotFound::Notification.into())
}

/// Notes that a user has read all of theirs.
pub async fn read_all(work: &mut UnitOfWork, user_id: UserId) -> Result<(), Failure> {
    NotificationRepository::mark_all_read(work, user_id).await?;
    Ok(())
}
