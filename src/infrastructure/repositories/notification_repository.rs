//! Notifications: lists of a user, read marks, and delivery by channel.

use jiff::Timestamp;

use super::database::{Connection, Cursors, DatabaseError, Page, Param, UnitOfWork, params, select, table};
use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::{Channel, DeliveryStatus, Notification};

table! {
    Notification in "notifications", key NotificationId, listed by created_at;
    id,
    user_id,
    kind,
    facts: json,
    channel,
    delivery,
    read_at,
    created_at,
}

/// Which notifications of a user a list or a count includes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// Only those of this channel.
    pub channel: Option<Channel>,
    /// Only those that are not read yet.
    pub unread: bool,
}

/// Queries on notifications.
pub struct NotificationRepository<'a>(pub &'a mut Connection);

impl NotificationRepository<'_> {
    /// Returns a page of a user's notifications, newest first.
    pub async fn list(
        &mut self,
        user_id: UserId,
        filter: NotificationFilter,
        limit: usize,
        after: Option<(Timestamp, NotificationId)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<Notification>, DatabaseError> {
        let (condition, values) = filter_condition(user_id, filter);
        self.0.newest(&condition, &values, limit, after, cursors).await
    }

    /// Returns the number of a user's notifications that the filter includes.
    pub async fn count(&mut self, user_id: UserId, filter: NotificationFilter) -> Result<i64, DatabaseError> {
        let (condition, values) = filter_condition(user_id, filter);
        let sql = format!("SELECT COUNT(*) FROM notifications WHERE {condition}");
        self.0.one(&sql, &values).await
    }

    /// Returns up to `limit` notifications of a channel whose delivery is pending, oldest first.
    pub async fn to_send(
        &mut self,
        channel: Channel,
        limit: i64,
    ) -> Result<Vec<Notification>, DatabaseError> {
        let sql = select::<Notification>(
            "WHERE channel = $1 AND delivery = 'pending' ORDER BY created_at, id LIMIT $2",
        );
        self.0.all(&sql, &params![channel, limit]).await
    }

    /// Marks a notification of a user as read, now or earlier; returns whether the user has it.
    pub async fn mark_read(
        work: &mut UnitOfWork,
        user_id: UserId,
        id: NotificationId,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE notifications SET read_at = COALESCE(read_at, $3) WHERE id = $1 AND user_id = $2";
        let now = work.now();
        Ok(work.execute(sql, &params![id, user_id, now]).await? == 1)
    }

    /// Marks all notifications of a user as read; returns the number that were unread.
    pub async fn mark_all_read(work: &mut UnitOfWork, user_id: UserId) -> Result<u64, DatabaseError> {
        let sql = "UPDATE notifications SET read_at = $2 WHERE user_id = $1 AND read_at IS NULL";
        let now = work.now();
        work.execute(sql, &params![user_id, now]).await
    }

    /// Records the outcome of a pending delivery; returns whether it was pending.
    pub async fn set_delivery(
        work: &mut UnitOfWork,
        id: NotificationId,
        outcome: DeliveryStatus,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE notifications SET delivery = $2 WHERE id = $1 AND delivery = 'pending'";
        Ok(work.execute(sql, &params![id, outcome]).await? == 1)
    }
}

/// Returns the SQL condition of a filter, and its values.
fn filter_condition(user_id: UserId, filter: NotificationFilter) -> (String, Vec<Param<'static>>) {
    let (mut condition, mut values) = ("user_id = $1".to_owned(), vec![user_id.into()]);
    if let Some(channel) = filter.channel {
        condition.push_str(" AND channel = $2");
        values.push(channel.into());
    }
    if filter.unread {
        condition.push_str(" AND read_at IS NULL");
    }
    (condition, values)
}
