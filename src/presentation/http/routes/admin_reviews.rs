//! Moderation.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::application::catalogue::reviews;
use crate::domain::ids::ReviewId;
use crate::domain::review::ReviewStatus;
use crate::infrastructure::repositories::ReviewFilter;
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::bodies::ReviewBody;
use crate::presentation::http::conditional::changed;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, approve, reject]
}

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Those of which moderation has said this; those it has not looked at, if it is left out.
    #[param(inline)]
    status: Option<ReviewStatus>,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Reviews, newest first.
#[utoipa::path(get, path = "/admin/v1/reviews", tag = "admin reviews", params(ListParameters),
    responses((status = 200, body = List<ReviewBody>)))]
async fn list(_: Admin, State(app): State<AppState>, Query(wanted): Query<ListParameters>) -> HandlerResult {
    let filter = ReviewFilter::In(wanted.status.unwrap_or(ReviewStatus::Pending));
    let page = reviews::reviews(&app.store, filter, wanted.limit, wanted.cursor.as_deref()).await?;
    Ok(Json(List::of(page, |review| ReviewBody::with_writer(&review))).into_response())
}

/// Shows a review, and counts it in the product's rating.
#[utoipa::path(post, path = "/admin/v1/reviews/{id}/approve", tag = "admin reviews",
    params(("id" = Uuid, Path)), responses((status = 200, body = ReviewBody)))]
async fn approve(_: Admin, State(app): State<AppState>, Path(id): Path<ReviewId>) -> HandlerResult {
    moderate(&app, id, ReviewStatus::Approved).await
}

/// Hides a review, and counts it out of the product's rating.
#[utoipa::path(post, path = "/admin/v1/reviews/{id}/reject", tag = "admin reviews",
    params(("id" = Uuid, Path)), responses((status = 200, body = ReviewBody)))]
async fn reject(_: Admin, State(app): State<AppState>, Path(id): Path<ReviewId>) -> HandlerResult {
    moderate(&app, id, ReviewStatus::Rejected).await
}

async fn moderate(app: &AppState, id: ReviewId, verdict: ReviewStatus) -> HandlerResult {
    let database = app.store.database();
    let write = database.write_boxed(move |work| Box::pin(reviews::moderate(work, id, verdict)));
    let review = write.await?;
    changed(review.version, &ReviewBody::with_writer(&review))
}
