//! Notifications: lists of a user, and read marks.

use serde::Serialize;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Owner, Page, PageRequest, UnitOfWork, params, table,
};
use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::{Channel, Notification};

table! {
    Notification in "notifications", key NotificationId, listed by created_at,
    owned by |notification| Owner::User(notification.user_id);
    id,
    user_id,
    kind,
    facts: json,
    channel,
    delivery,
    read_at,
    created_at,
}

/// Which notifications a list or a count includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NotificationFilter {
    /// Those of this user.
    pub user_id: UserId,
    /// Only those of this channel.
    pub channel: Option<Channel>,
    /// Only those that are not read yet.
    pub unread: bool,
}

impl NotificationFilter {
    fn conditions(&self) -> Conditions<'static> {
        let conditions =
            Conditions::default().compare("user_id =", self.user_id).compare_some("channel =", self.channel);
        if self.unread { conditions.and("read_at IS NULL") } else { conditions }
    }
}

/// Queries on notifications.
pub struct NotificationRepository<'a>(pub &'a mut Connection);

impl NotificationRepository<'_> {
    /// Returns a page of notifications, newest first.
    pub async fn list(
        &mut self,
        filter: &NotificationFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Notification>, ListError> {
        self.0.newest(filter, filter.conditions(), request).await
    }

    /// Returns the number of notifications that the filter includes.
    pub async fn count(&mut self, filter: &NotificationFilter) -> Result<i64, DatabaseError> {
        let conditions = filter.conditions();
        let sql = format!("SELECT COUNT(*) FROM notifications WHERE {conditions}");
        self.0.one(&sql, conditions.values()).await
    }

    /// Marks a notification of a user as read, now or earlier; returns whether the user has it.
    pub async fn mark_read(
        work: &mut UnitOfWork,
        user_id: UserId,
        id: NotificationId,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE notifications SET read_at = COALESCE(read_at, $3) WHERE id = $1 AND user_id = $2";
        let now = work.now();
        work.touch_data(Owner::User(user_id));
        Ok(work.execute(sql, &params![id, user_id, now]).await? == 1)
    }

    /// Marks all notifications of a user as read; returns the number that were unread.
    pub async fn mark_all_read(work: &mut UnitOfWork, user_id: UserId) -> Result<u64, DatabaseError> {
        let sql = "UPDATE notifications SET read_at = $2 WHERE user_id = $1 AND read_at IS NULL";
        let now = work.now();
        work.touch_data(Owner::User(user_id));
        work.execute(sql, &params![user_id, now]).await
    }
}
