//! The notifications of a user.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::people::notification_text::text;
use crate::application::people::notifications;
use crate::domain::ids::{NotificationId, OrderId, SubscriptionId};
use crate::domain::money::Money;
use crate::domain::notification::Notification;
use crate::infrastructure::cache::{Inbox, NewestNotifications};
use crate::infrastructure::exceptions::NotFound;
use crate::presentation::http::cache_status::OwnFromCache;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::ListQuery;
use crate::presentation::http::principal::LoggedIn;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_notifications,
        read_notification: [NotFound::Notification],
        read_all_notifications,
    ]
}

/// Which notifications are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NotificationQuery {
    /// Whether only unread notifications are listed.
    #[serde(default)]
    #[param(default = false)]
    unread: bool,
}

/// A page of the notifications of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotificationList)]
struct InboxBody {
    /// The notifications of this page.
    items: Vec<NotificationBody>,
    /// The `cursor` of the next page; `null` on the last page.
    next_cursor: Option<String>,
    /// The number of unread notifications in all pages.
    unread: i64,
}

/// A message to a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub(super) struct NotificationBody {
    /// The id of the notification.
    id: NotificationId,
    /// The kind of the notification, for programs.
    #[schema(example = "order_paid")]
    kind: String,
    /// The text of the notification.
    text: String,
    /// The order that the notification is about.
    order_id: Option<OrderId>,
    /// The number of that order.
    order_number: Option<i64>,
    /// The subscription that the notification is about.
    subscription_id: Option<SubscriptionId>,
    /// The amount that the notification is about.
    amount: Option<Money>,
    /// The time at which the notification was marked as read.
    read_at: Option<Timestamp>,
    /// The time at which the notification was created.
    created_at: Timestamp,
}

/// List the notifications
///
/// Newest notifications come first.
#[utoipa::path(get, path = "/v1/notifications", tag = "notifications",
    responses((status = 200, body = InboxBody)))]
async fn list_notifications(
    principal: LoggedIn,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<NotificationQuery>>,
    from_cache: OwnFromCache,
) -> HandlerResult {
    let ListQuery { filter: NotificationQuery { unread }, limit, cursor } = query;
    let newest = NewestNotifications { unread };
    let (inbox, status) =
        notifications::inbox(&app.store, principal.data(), newest, limit, cursor.as_deref()).await?;
    Ok(from_cache.respond(Json(InboxBody::of(&inbox)), status))
}

/// Mark a notification as read
///
/// The operation succeeds for a notification that is read already, too.
#[utoipa::path(post, path = "/v1/notifications/{id}/read", tag = "notifications", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn read_notification(
    principal: LoggedIn,
    State(app): State<AppState>,
    Path(id): Path<NotificationId>,
) -> HandlerResult<StatusCode> {
    notifications::mark_read(&app.store, principal.user_id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mark all notifications as read
///
/// The unread notifications of the user are marked as read.
#[utoipa::path(post, path = "/v1/notifications/read-all", tag = "notifications", responses((status = 204)))]
async fn read_all_notifications(
    principal: LoggedIn,
    State(app): State<AppState>,
) -> HandlerResult<StatusCode> {
    notifications::mark_all_read(&app.store, principal.user_id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl InboxBody {
    fn of(Inbox { page, unread }: &Inbox) -> Self {
        let items = page.items.iter().map(NotificationBody::of).collect();
        Self { items, next_cursor: page.next.clone(), unread: *unread }
    }
}

impl NotificationBody {
    /// The body of a notification.
    pub(super) fn of(notification: &Notification) -> Self {
        let facts = &notification.facts;
        Self {
            id: notification.id,
            kind: notification.kind.clone(),
            text: text(notification),
            order_id: facts.order_id,
            order_number: facts.order_number,
            subscription_id: facts.subscription_id,
            amount: facts.amount,
            read_at: notification.read_at,
            created_at: notification.created_at,
        }
    }
}
