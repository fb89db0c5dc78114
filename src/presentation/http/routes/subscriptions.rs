//! The subscriptions of a user. The checkout of a product of kind `subscription` creates one.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::application::subscriptions::lifecycle::{self as subscriptions, SubscriptionChange};
use crate::application::subscriptions::queries;
use crate::domain::ids::SubscriptionId;
use crate::domain::subscription::SubscriptionStatus;
use crate::infrastructure::exceptions::{NotFound, SubscriptionExpiredException};
use crate::infrastructure::repositories::SubscriptionFilter;
use crate::presentation::http::bodies::SubscriptionBody;
use crate::presentation::http::conditional::IfNoneMatch;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::{EmptyBody, Json};
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::operation::{any, forbidden_transition};
use crate::presentation::http::principal::LoggedIn;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, changed};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_subscriptions,
        get_subscription: [NotFound::Subscription],
        pause_subscription: [NotFound::Subscription, forbidden_transition("subscription"), any::<SubscriptionExpiredException>()],
        resume_subscription: [NotFound::Subscription, forbidden_transition("subscription"), any::<SubscriptionExpiredException>()],
        cancel_subscription: [NotFound::Subscription, forbidden_transition("subscription"), any::<SubscriptionExpiredException>()],
    ]
}

/// Which subscriptions are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SubscriptionQuery {
    /// Only subscriptions with this status.
    #[param(inline)]
    status: Option<SubscriptionStatus>,
}

/// List the user's subscriptions
///
/// Newest subscriptions come first.
#[utoipa::path(get, path = "/v1/subscriptions", tag = "subscriptions",
    responses((status = 200, body = List<SubscriptionBody>)))]
async fn list_subscriptions(
    principal: LoggedIn,
    State(app): State<AppState>,
    Query(ListQuery { filter, limit, cursor }): Query<ListQuery<SubscriptionQuery>>,
) -> HandlerResult<Json<List<SubscriptionBody>>> {
    let filter = SubscriptionFilter { user_id: Some(principal.user_id()), status: filter.status };
    let page = queries::subscriptions(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |subscription| SubscriptionBody::of(&subscription))))
}

/// Get a subscription
///
/// Returns a subscription with its periods.
#[utoipa::path(get, path = "/v1/subscriptions/{id}", tag = "subscriptions", params(("id" = Uuid, Path)),
    responses((status = 200, body = SubscriptionBody)))]
async fn get_subscription(
    principal: LoggedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let (subscription, periods) = queries::subscription(&app.store, id, Some(principal.user_id())).await?;
    let body = SubscriptionBody::with_periods(&subscription, &periods);
    Ok(if_none_match.respond(subscription.version, &body))
}

/// Pause a subscription
///
/// The subscription is not charged until it is resumed. A period that is paid stays paid. The order of a renewal that
/// is not paid yet is cancelled.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/pause", tag = "subscriptions", params(("id" = Uuid, Path)),
    request_body = Option<EmptyBody>, responses((status = 200, body = SubscriptionBody)))]
async fn pause_subscription(
    principal: LoggedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<EmptyBody>,
) -> HandlerResult<StoredResponse> {
    change_own(&app, &principal, id, SubscriptionChange::Pause, request).await
}

/// Resume a subscription
///
/// The subscription is charged again: at the end of the paid period, or at once if that has ended or if the last
/// renewal failed.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/resume", tag = "subscriptions", params(("id" = Uuid, Path)),
    request_body = Option<EmptyBody>, responses((status = 200, body = SubscriptionBody)))]
async fn resume_subscription(
    principal: LoggedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<EmptyBody>,
) -> HandlerResult<StoredResponse> {
    change_own(&app, &principal, id, SubscriptionChange::Resume, request).await
}

/// Cancel a subscription
///
/// The subscription is never charged again. A period that is paid stays paid. The order of a renewal that is not paid
/// yet is cancelled.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/cancel", tag = "subscriptions", params(("id" = Uuid, Path)),
    request_body = Option<EmptyBody>, responses((status = 200, body = SubscriptionBody)))]
async fn cancel_subscription(
    principal: LoggedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<EmptyBody>,
) -> HandlerResult<StoredResponse> {
    change_own(&app, &principal, id, SubscriptionChange::Cancel, request).await
}

/// Changes a subscription of the user, once for each idempotency key.
async fn change_own(
    app: &AppState,
    principal: &LoggedIn,
    id: SubscriptionId,
    change: SubscriptionChange,
    request: Idempotent<EmptyBody>,
) -> HandlerResult<StoredResponse> {
    let owner = Some(principal.user_id());
    let (_, responder) = request.into_parts(owner, changed(SubscriptionBody::response))?;
    subscriptions::change_once(&app.store, id, owner, change, responder).await
}
