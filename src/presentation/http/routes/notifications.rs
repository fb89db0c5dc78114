//! What the store tells its users.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::people::notification_text::text;
use crate::application::people::notifications::{self, Inbox};
use crate::domain::ids::{NotificationId, OrderId, SubscriptionId};
use crate::domain::money::Money;
use crate::domain::notification::Notification;
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::principal::SignedIn;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, read, read_all]
}

/// Which notifications.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only those not read yet.
    #[serde(default)]
    #[param(default = false)]
    unread: bool,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of notifications.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Inbox)]
struct InboxBody {
    #[serde(flatten)]
    page: List<NotificationBody>,
    /// How many of all are not read yet.
    unread: i64,
}

/// Something the store tells a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
struct NotificationBody {
    /// Its id.
    id: NotificationId,
    /// What happened, for programs.
    #[schema(example = "order_paid")]
    kind: String,
    /// What happened, in words.
    text: String,
    /// The order it is about.
    order_id: Option<OrderId>,
    /// The number of that order.
    order_number: Option<i64>,
    /// The subscription it is about.
    subscription_id: Option<SubscriptionId>,
    /// The money it is about.
    amount: Option<Money>,
    /// When it was read.
    read_at: Option<Timestamp>,
    /// When it happened.
    created_at: Timestamp,
}

/// What the store told the caller, newest first.
#[utoipa::path(get, path = "/v1/notifications", tag = "notifications", params(ListParameters),
    responses((status = 200, body = InboxBody)))]
async fn list(
    who: SignedIn,
    State(app): State<AppState>,
    Query(wanted): Query<ListParameters>,
) -> HandlerResult {
    let ListParameters { unread, limit, cursor } = wanted;
    let Inbox { page, unread } =
        notifications::inbox(&app.store, who.user_id(), unread, limit, cursor.as_deref()).await?;
    let page = List::of(page, |notification| NotificationBody::of(&notification));
    Ok(Json(InboxBody { page, unread }).into_response())
}

/// Notes that the caller has read one.
#[utoipa::path(post, path = "/v1/notifications/{id}/read", tag = "notifications", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn read(who: SignedIn, State(app): State<AppState>, Path(id): Path<NotificationId>) -> HandlerResult {
    let (user_id, database) = (who.user_id(), app.store.database());
    database.write_boxed(move |work| Box::pin(notifications::read(work, user_id, id))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Notes that the caller has read them all.
#[utoipa::path(post, path = "/v1/notifications/read-all", tag = "notifications", responses((status = 204)))]
async fn read_all(who: SignedIn, State(app): State<AppState>) -> HandlerResult {
    let (user_id, database) = (who.user_id(), app.store.database());
    database.write_boxed(move |work| Box::pin(notifications::read_all(work, user_id))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl NotificationBody {
    fn of(notification: &Notification) -> Self {
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
