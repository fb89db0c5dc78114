//! Notifications: read by their users, delivered by their channels.

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

/// Which of a user's notifications are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// Only those that took this way.
    pub channel: Option<Channel>,
    /// Only those not read yet.
    pub unread: bool,
}

/// The queries of notifications.
pub struct NotificationRepository<'a>(pub &'a mut Connection);

impl NotificationRepository<'_> {
    /// A page of a user's notifications, newest first.
    pub async fn list(
        &mut self,
        user_id: UserId,
        filter: NotificationFilter,
        limit: usize,
        after: Option<(Timestamp, NotificationId)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<Notification>, DatabaseError> {
        let (condition, values) = meant(user_id, filter);
        self.0.newest(&condition, &values, limit, after, cursors).await
    }

    /// How many of a user's notifications are meant.
    pub async fn count(&mut self, user_id: UserId, filter: NotificationFilter) -> Result<i64, DatabaseError> {
        let (condition, values) = meant(user_id, filter);
        let sql = format!("SELECT COUNT(*) FROM notifications WHERE {condition}");
        self.0.one(&sql, &values).await
    }

    /// Up to `limit` notifications that are still to be sent by a channel, oldest first.
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

    /// Notes that a user has read one of theirs, if not noted before; whether they have it.
    pub async fn mark_read(
        work: &mut UnitOfWork,
        user_id: UserId,
        id: NotificationId,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE notifications SET read_at = COALESCE(read_at, $3) WHERE id = $1 AND user_id = $2";
        let now = work.now();
        Ok(work.execute(sql, &params![id, user_id, now]).await? == 1)
    }

    /// Notes that a user has read all of theirs; how many they had not.
    pub async fn mark_all_read(work: &mut UnitOfWork, user_id: UserId) -> Result<u64, DatabaseError> {
        let sql = "UPDATE notifications SET read_at = $2 WHERE user_id = $1 AND read_at IS NULL";
        let now = work.now();
        work.execute(sql, &params![user_id, now]).await
    }

    /// Notes how the sending of a notification ended, if it had not ended before; whether it had not.
    pub async fn set_delivery(
        work: &mut UnitOfWork,
        id: NotificationId,
        outcome: DeliveryStatus,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE notifications SET delivery = $2 WHERE id = $1 AND delivery = 'pending'";
        Ok(work.execute(sql, &params![id, outcome]).await? == 1)
    }
}

/// The condition that a filter makes, and its values.
fn meant(user_id: UserId, filter: NotificationFilter) -> (String, Vec<Param<'static>>) {
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
