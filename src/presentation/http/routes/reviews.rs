//! Reviews of products.

use crate::application::catalogue::reviews::{self, CreateReview};
use crate::domain::ids::ProductId;
use crate::domain::review::Review;
use crate::infrastructure::exceptions::{Conflict, NotFound, UnauthorizedAccessException};
use crate::infrastructure::guards::{And, AuthenticationGuard, FeatureFlagGuard};
use crate::infrastructure::repositories::ReviewFilter;
use crate::presentation::http::bodies::ReviewBody;
use crate::presentation::http::feature::ReviewsFeature;
use crate::presentation::http::guarded::Guarded;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::{LoggedIn, Public};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_product_reviews: [NotFound::Product],
        list_own_reviews,
        create_review: [
            NotFound::Product,
            UnauthorizedAccessException::NotBought,
            UnauthorizedAccessException::EmailNotVerified,
            Conflict::AlreadyReviewed,
        ],
    ]
    .publicly_cached()
}

/// List the reviews of a product
///
/// Only approved reviews are listed; newest reviews come first.
#[utoipa::path(get, path = "/v1/products/{id}/reviews", tag = "reviews", params(("id" = Uuid, Path)),
    responses((status = 200, body = List<ReviewBody>)))]
async fn list_product_reviews(
    _: Public,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    Query(ListQuery { limit, cursor, .. }): Query<ListQuery>,
) -> HandlerResult<Json<List<ReviewBody>>> {
    let page = reviews::reviews(&app.store, ReviewFilter::ShownOf(id), limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |review| ReviewBody::of(&review))))
}

/// List the user's reviews
///
/// Newest reviews come first.
#[utoipa::path(get, path = "/v1/me/reviews", tag = "reviews",
    responses((status = 200, body = List<ReviewBody>)))]
async fn list_own_reviews(
    principal: LoggedIn,
    State(app): State<AppState>,
    Query(ListQuery { limit, cursor, .. }): Query<ListQuery>,
) -> HandlerResult<Json<List<ReviewBody>>> {
    let filter = ReviewFilter::By(principal.user_id());
    let page = reviews::reviews(&app.store, filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |review| ReviewBody::of(&review))))
}

/// Review a product
///
/// Creates the review of a product that the user bought; a user reviews a product once. The review is published when
/// an administrator approves it.
#[utoipa::path(post, path = "/v1/products/{id}/reviews", tag = "reviews", params(("id" = Uuid, Path)),
    request_body = CreateReview, responses((status = 201, body = ReviewBody)))]
async fn create_review(
    principal: Guarded<And<AuthenticationGuard, FeatureFlagGuard>, ((), ReviewsFeature)>,
    State(app): State<AppState>,
    Path(product_id): Path<ProductId>,
    request: Idempotent<CreateReview>,
) -> HandlerResult<StoredResponse> {
    let user_id = principal.0.user_id();
    let render = created(
        |_: &Review| "/v1/me/reviews".to_owned(),
        |review| tagged(review.version, &ReviewBody::of(review)),
    );
    let (new, responder) = request.into_parts(Some(user_id), render)?;
    reviews::create(&app.store, product_id, user_id, new, responder).await
}
