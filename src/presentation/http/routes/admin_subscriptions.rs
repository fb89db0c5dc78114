//! Subscriptions, as administrators manage them.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::application::subscriptions::lifecycle::{self as subscriptions, SubscriptionChange};
use crate::application::subscriptions::queries;
use crate::domain::ids::{SubscriptionId, UserId};
use crate::domain::subscription::SubscriptionStatus;
use crate::infrastructure::exceptions::{
    Fault, NotFound, OrderProcessingException, SubscriptionExpiredException, ValidationException,
};
use crate::infrastructure::repositories::SubscriptionFilter;
use crate::presentation::http::bodies::SubscriptionBody;
use crate::presentation::http::conditional::IfNoneMatch;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::operation::{any, forbidden_transition};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, changed};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_subscriptions,
        get_subscription: [NotFound::Subscription],
        change_subscription: [
            NotFound::Subscription,
            forbidden_transition("subscription"),
            any::<SubscriptionExpiredException>(),
            any::<OrderProcessingException>(),
        ],
    ]
}

/// Which subscriptions are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SubscriptionQuery {
    /// Only subscriptions of this user.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
    /// Only subscriptions with this status.
    #[param(inline)]
    status: Option<SubscriptionStatus>,
}

/// A change of a subscription.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeSubscription {
    /// The change.
    action: SubscriptionAction,
    /// Whether the rest of the paid period is refunded and the subscription ends at once. Only allowed with `cancel`,
    /// and requires `refunds:write`, too. Refused with `order_processing` while less than the refund is captured and
    /// the rest of the payment is authorized or being captured: capture it first.
    #[serde(default)]
    #[schema(default = false)]
    refund: bool,
}

/// A change of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SubscriptionAction {
    /// The subscription is not charged until it is resumed.
    Pause,
    /// The subscription is charged again.
    Resume,
    /// The subscription is never charged again.
    Cancel,
}

/// List subscriptions
///
/// Newest subscriptions come first. The audit log records who read which list, with the user of `user_id`.
#[utoipa::path(get, path = "/admin/v1/subscriptions", tag = "admin-subscriptions",
    responses((status = 200, body = List<SubscriptionBody>)))]
async fn list_subscriptions(
    _: Admin,
    State(app): State<AppState>,
    Query(ListQuery { filter, limit, cursor }): Query<ListQuery<SubscriptionQuery>>,
) -> HandlerResult<Json<List<SubscriptionBody>>> {
    let SubscriptionQuery { user_id, status } = filter;
    let filter = SubscriptionFilter { user_id, status };
    let page = queries::subscriptions(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |subscription| SubscriptionBody::of(&subscription))))
}

/// Get a subscription
///
/// Returns a subscription with its periods. The audit log records who read it.
#[utoipa::path(get, path = "/admin/v1/subscriptions/{id}", tag = "admin-subscriptions", params(("id" = Uuid, Path)),
    responses((status = 200, body = SubscriptionBody)))]
async fn get_subscription(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let (subscription, periods) = queries::subscription(&app.store, id, None).await?;
    let body = SubscriptionBody::with_periods(&subscription, &periods);
    Ok(if_none_match.respond(subscription.version, &body))
}

/// Pause, resume or cancel a subscription
///
/// Resuming a subscription whose last renewal failed retries the renewal at once.
#[utoipa::path(post, path = "/admin/v1/subscriptions/{id}", tag = "admin-subscriptions", params(("id" = Uuid, Path)),
    request_body = ChangeSubscription, responses((status = 200, body = SubscriptionBody)))]
async fn change_subscription(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<ChangeSubscription>,
) -> HandlerResult<StoredResponse> {
    let (change, responder) =
        request.into_parts(Some(admin.user_id()), changed(SubscriptionBody::response))?;
    if change.refund && change.action != SubscriptionAction::Cancel {
        let fault = Fault::NotAllowed { allowed: vec![false.into()] };
        return Err(ValidationException::one("/refund", fault).into());
    }
    let change = match change.action {
        SubscriptionAction::Pause => SubscriptionChange::Pause,
        SubscriptionAction::Resume => SubscriptionChange::Resume,
        SubscriptionAction::Cancel if change.refund => SubscriptionChange::CancelAndRefund(admin.permissions),
        SubscriptionAction::Cancel => SubscriptionChange::Cancel,
    };
    subscriptions::change_once(&app.store, id, None, change, responder).await
}
