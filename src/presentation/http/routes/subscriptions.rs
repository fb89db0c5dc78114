//! A subscriber's subscriptions. They are begun by an order, at the checkout.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::application::idempotency::once;
use crate::application::selling::history;
use crate::application::subscriptions::lifecycle as subscriptions;
use crate::domain::ids::SubscriptionId;
use crate::domain::subscription::{Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{SubscriptionFilter, UnitOfWork, Work};
use crate::presentation::http::answer::{HandlerResult, done};
use crate::presentation::http::bodies::{PeriodBody, SubscriptionBody};
use crate::presentation::http::conditional::{IfNoneMatch, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::{Json, Nothing};
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::principal::SignedIn;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, pause, resume, cancel]
}

/// Which subscriptions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only those in this state.
    #[param(inline)]
    status: Option<SubscriptionStatus>,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The caller's subscriptions, newest first.
#[utoipa::path(get, path = "/v1/subscriptions", tag = "subscriptions", params(ListParameters),
    responses((status = 200, body = List<SubscriptionBody>)))]
async fn list(
    who: SignedIn,
    State(app): State<AppState>,
    Query(wanted): Query<ListParameters>,
) -> HandlerResult {
    let filter = SubscriptionFilter { user_id: Some(who.user_id()), status: wanted.status };
    let page = history::subscriptions(&app.store, &filter, wanted.limit, wanted.cursor.as_deref()).await?;
    Ok(Json(List::of(page, |subscription| SubscriptionBody::of(&subscription))).into_response())
}

/// A subscription with its charges.
#[utoipa::path(get, path = "/v1/subscriptions/{id}", tag = "subscriptions", params(("id" = Uuid, Path)),
    responses((status = 200, body = SubscriptionBody)))]
async fn get(
    who: SignedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let (subscription, periods) = own(&app, &who, id).await?;
    let mut body = SubscriptionBody::of(&subscription);
    body.periods = Some(periods.iter().map(PeriodBody::of).collect());
    fresh(subscription.version, &body, &known)
}

/// Charges nothing more until it is resumed; what is paid stays paid. A charge that is under way is given up.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/pause", tag = "subscriptions", params(("id" = Uuid, Path)),
    request_body = Option<Nothing>, responses((status = 200, body = SubscriptionBody)))]
async fn pause(
    who: SignedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<Nothing>,
) -> HandlerResult {
    change(&app, &who, id, &request, move |work| Box::pin(subscriptions::pause(work, id))).await
}

/// Charges again: at the end of what is paid, or at once if that is over, or if the last charge failed.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/resume", tag = "subscriptions", params(("id" = Uuid, Path)),
    request_body = Option<Nothing>, responses((status = 200, body = SubscriptionBody)))]
async fn resume(
    who: SignedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<Nothing>,
) -> HandlerResult {
    change(&app, &who, id, &request, move |work| Box::pin(subscriptions::resume(work, id))).await
}

/// Charges nothing more, for good; what is paid stays paid. A charge that is under way is given up.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/cancel", tag = "subscriptions", params(("id" = Uuid, Path)),
    request_body = Option<Nothing>, responses((status = 200, body = SubscriptionBody)))]
async fn cancel(
    who: SignedIn,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<Nothing>,
) -> HandlerResult {
    change(&app, &who, id, &request, move |work| Box::pin(subscriptions::cancel(work, id))).await
}

/// A subscription of the caller's; another's looks as if there were none.
async fn own(
    app: &AppState,
    who: &SignedIn,
    id: SubscriptionId,
) -> Result<(Subscription, Vec<SubscriptionPeriod>), Failure> {
    let found = history::subscription(&app.store, id).await?;
    if found.0.user_id == who.user_id() { Ok(found) } else { Err(NotFound::Subscription.into()) }
}

/// Changes a subscription of the caller's once.
async fn change<F>(
    app: &AppState,
    who: &SignedIn,
    id: SubscriptionId,
    request: &Idempotent<Nothing>,
    work: F,
) -> HandlerResult
where
    F: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, Subscription, Failure> + Send + Sync + 'static,
{
    own(app, who, id).await?;
    let render = Arc::new(done(SubscriptionBody::answer));
    Ok(once(&app.store, request.key(Some(who.user_id())), render, work).await?.into_response())
}
