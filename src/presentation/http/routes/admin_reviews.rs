//! The moderation of reviews.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::application::catalogue::reviews;
use crate::domain::ids::ReviewId;
use crate::domain::review::ReviewStatus;
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::infrastructure::repositories::ReviewFilter;
use crate::presentation::http::bodies::ReviewBody;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::operation::forbidden_transition;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_reviews,
        approve_review: [NotFound::Review, forbidden_transition("review"), Conflict::Stale],
        reject_review: [NotFound::Review, forbidden_transition("review"), Conflict::Stale],
    ]
}

/// Which reviews are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReviewQuery {
    /// Only reviews with this status. If omitted, it is `pending`.
    #[param(inline)]
    status: Option<ReviewStatus>,
}

/// List reviews
///
/// Newest reviews come first.
#[utoipa::path(get, path = "/admin/v1/reviews", tag = "admin-reviews",
    responses((status = 200, body = List<ReviewBody>)))]
async fn list_reviews(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<ReviewQuery>>,
) -> HandlerResult<Json<List<ReviewBody>>> {
    let ListQuery { filter: ReviewQuery { status }, limit, cursor } = query;
    let filter = ReviewFilter::In(status.unwrap_or(ReviewStatus::Pending));
    let page = reviews::reviews(&app.store, filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |review| ReviewBody::with_author(&review))))
}

/// Approve a review
///
/// Publishes the review and includes it in the product's rating.
#[utoipa::path(post, path = "/admin/v1/reviews/{id}/approve", tag = "admin-reviews",
    params(("id" = Uuid, Path)), responses((status = 200, body = ReviewBody)))]
async fn approve_review(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ReviewId>,
) -> HandlerResult<StoredResponse> {
    moderate(&app, id, ReviewStatus::Approved).await
}

/// Reject a review
///
/// Hides the review and excludes it from the product's rating.
#[utoipa::path(post, path = "/admin/v1/reviews/{id}/reject", tag = "admin-reviews",
    params(("id" = Uuid, Path)), responses((status = 200, body = ReviewBody)))]
async fn reject_review(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<ReviewId>,
) -> HandlerResult<StoredResponse> {
    moderate(&app, id, ReviewStatus::Rejected).await
}

async fn moderate(app: &AppState, id: ReviewId, verdict: ReviewStatus) -> HandlerResult<StoredResponse> {
    let review = reviews::moderate(&app.store, id, verdict).await?;
    Ok(tagged(review.version, &ReviewBody::with_author(&review)))
}
