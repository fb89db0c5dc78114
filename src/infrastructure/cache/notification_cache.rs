//! The newest page of a user's notifications, with the number of unread ones. A new notification, one that is marked as
//! read, and each other change of the user's data ends what is kept of it.

use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::own::{Own, own_cache};
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use super::weight::{self, optional, texts};
use crate::domain::notification::{Channel, Notification};
use crate::infrastructure::repositories::{
    DEFAULT_LIMIT, Database, ListError, NotificationFilter, NotificationRepository, Page,
};

const POLICY: Policy =
    Policy { ttl: Duration::from_mins(1), max_bytes: 8 << 20, ..Policy::named("notification", 1) };

/// Which notifications the page has, at most [`DEFAULT_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewestNotifications {
    /// Whether only unread ones are listed.
    pub unread: bool,
}

/// A page of a user's notifications.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbox {
    /// The page, newest first.
    pub page: Page<Notification>,
    /// The number of unread notifications in all pages.
    pub unread: i64,
}

/// The newest notifications of users in the app.
pub type NotificationCache = Cached<Own<NewestNotifications>, Private<Inbox>, ListError>;

pub(super) fn notification_cache(tiers: &Tiers, database: Database) -> NotificationCache {
    own_cache(tiers, POLICY, database, load)
}

async fn load(
    database: Database,
    key: Own<NewestNotifications>,
) -> Result<Loaded<Private<Inbox>>, ListError> {
    let Own { data, key: NewestNotifications { unread } } = key;
    let filter = NotificationFilter { user_id: data.user_id, channel: Some(Channel::InApp), unread };
    let inbox = Inbox::read(&database, &filter, DEFAULT_LIMIT, None).await?;
    let bytes = inbox.page.items.iter().map(weigh).sum();
    Ok(Loaded { value: Some(Private::new(inbox)), tags: Vec::new(), bytes: weight::capped(bytes) })
}

fn weigh(notification: &Notification) -> usize {
    let Notification { kind, facts, .. } = notification;
    size_of::<Notification>() + texts([kind]) + optional([&facts.url, &facts.job])
}

impl Inbox {
    /// Reads a page of notifications, and the number of those that the user has not read.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub async fn read(
        database: &Database,
        filter: &NotificationFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Self, ListError> {
        let mut connection = database.read().await?;
        let mut notifications = NotificationRepository(&mut connection);
        let page = notifications.list(filter, &database.page_request(limit, cursor)).await?;
        let unread = notifications.count(&NotificationFilter { unread: true, ..*filter }).await?;
        Ok(Self { page, unread })
    }
}
