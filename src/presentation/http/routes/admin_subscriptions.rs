//! What an administrator does with subscriptions: sees them all, pauses, resumes, cancels.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::application::idempotency::once;
use crate::application::selling::history;
use crate::application::subscriptions::lifecycle as subscriptions;
use crate::domain::ids::{SubscriptionId, UserId};
use crate::domain::subscription::SubscriptionStatus;
use crate::infrastructure::exceptions::{Fault, ValidationException};
use crate::infrastructure::repositories::SubscriptionFilter;
use crate::presentation::http::answer::{HandlerResult, done};
use crate::presentation::http::bodies::{PeriodBody, SubscriptionBody};
use crate::presentation::http::conditional::{IfNoneMatch, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, change]
}

/// Which subscriptions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only this user's.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
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

/// What is to become of a subscription.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionChange {
    /// What it is to do.
    action: SubscriptionAction,
    /// Whether the money for the rest of the period goes back; only when it is cancelled, which then ends it at once.
    #[serde(default)]
    refund: bool,
}

/// A step of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SubscriptionAction {
    /// To charge nothing until it is resumed.
    Pause,
    /// To charge again.
    Resume,
    /// To charge nothing more, for good.
    Cancel,
}

/// All subscriptions, newest first.
#[utoipa::path(get, path = "/admin/v1/subscriptions", tag = "admin subscriptions", params(ListParameters),
    responses((status = 200, body = List<SubscriptionBody>)))]
async fn list(_: Admin, State(app): State<AppState>, Query(wanted): Query<ListParameters>) -> HandlerResult {
    let filter = SubscriptionFilter { user_id: wanted.user_id, status: wanted.status };
    let page = history::subscriptions(&app.store, &filter, wanted.limit, wanted.cursor.as_deref()).await?;
    Ok(Json(List::of(page, |subscription| SubscriptionBody::of(&subscription))).into_response())
}

/// A subscription with its charges.
#[utoipa::path(get, path = "/admin/v1/subscriptions/{id}", tag = "admin subscriptions", params(("id" = Uuid, Path)),
    responses((status = 200, body = SubscriptionBody)))]
async fn get(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let (subscription, periods) = history::subscription(&app.store, id).await?;
    let mut body = SubscriptionBody::of(&subscription);
    body.periods = Some(periods.iter().map(PeriodBody::of).collect());
    fresh(subscription.version, &body, &known)
}

/// Pauses, resumes or cancels a subscription. To resume one whose charge failed is to try it again at once.
#[utoipa::path(post, path = "/admin/v1/subscriptions/{id}", tag = "admin subscriptions", params(("id" = Uuid, Path)),
    request_body = SubscriptionChange, responses((status = 200, body = SubscriptionBody)))]
async fn change(
    who: Admin,
    State(app): State<AppState>,
    Path(id): Path<SubscriptionId>,
    request: Idempotent<SubscriptionChange>,
) -> HandlerResult {
    let SubscriptionChange { action, refund } = request.body;
    if refund && action != SubscriptionAction::Cancel {
        let fault = Fault::NotAllowed { allowed: vec![false.into()] };
        return Err(ValidationException::one("/refund", fault).into());
    }
    let key = request.key(Some(who.user_id()));
    let answer = once(&app.store, key, Arc::new(done(SubscriptionBody::answer)), move |work| {
        Box::pin(async move {
            match action {
                SubscriptionAction::Pause => subscriptions::pause(work, id).await,
                SubscriptionAction::Resume => subscriptions::resume(work, id).await,
                SubscriptionAction::Cancel if refund => subscriptions::cancel_and_refund(work, id).await,
                SubscriptionAction::Cancel => subscriptions::cancel(work, id).await,
            }
        })
    });
    Ok(answer.await?.into_response())
}
