//! What buyers say of products.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::catalogue::reviews::{self, NewReview};
use crate::application::idempotency::once;
use crate::domain::ids::ProductId;
use crate::domain::review::Review;
use crate::infrastructure::repositories::ReviewFilter;
use crate::presentation::http::answer::{HandlerResult, created, versioned};
use crate::presentation::http::bodies::ReviewBody;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, Slice};
use crate::presentation::http::principal::{Public, SignedIn};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, mine, write]
}

/// What a buyer says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Opinion {
    /// Stars.
    #[schema(minimum = 1, maximum = 5)]
    rating: i64,
    /// A headline.
    #[serde(default)]
    #[schema(max_length = 200)]
    title: String,
    /// A text.
    #[serde(default)]
    #[schema(max_length = 10_000)]
    body: String,
}

/// What buyers say of a product, newest first.
#[utoipa::path(get, path = "/v1/products/{id}/reviews", tag = "reviews", params(("id" = Uuid, Path), Slice),
    responses((status = 200, body = List<ReviewBody>)))]
async fn list(
    _: Public,
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    Query(Slice { limit, cursor }): Query<Slice>,
) -> HandlerResult {
    let page = reviews::reviews(&app.store, ReviewFilter::ShownOf(id), limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |review| ReviewBody::of(&review))).into_response())
}

/// What the caller has said of products, newest first.
#[utoipa::path(get, path = "/v1/me/reviews", tag = "reviews", params(Slice),
    responses((status = 200, body = List<ReviewBody>)))]
async fn mine(
    who: SignedIn,
    State(app): State<AppState>,
    Query(Slice { limit, cursor }): Query<Slice>,
) -> HandlerResult {
    let filter = ReviewFilter::By(who.user_id());
    let page = reviews::reviews(&app.store, filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |review| ReviewBody::of(&review))).into_response())
}

/// Says what the caller thinks of a product they have bought, once. It is shown when moderation has approved it.
#[utoipa::path(post, path = "/v1/products/{id}/reviews", tag = "reviews", params(("id" = Uuid, Path)),
    request_body = Opinion, responses((status = 201, body = ReviewBody)))]
async fn write(
    who: SignedIn,
    State(app): State<AppState>,
    Path(product_id): Path<ProductId>,
    request: Idempotent<Opinion>,
) -> HandlerResult {
    let user_id = who.user_id();
    let key = request.key(Some(user_id));
    let Opinion { rating, title, body } = request.body;
    let new = NewReview { product_id, user_id, rating, title, body };
    let render = created(|review: &Review| {
        ("/v1/me/reviews".to_owned(), versioned(review.version, &ReviewBody::of(review)))
    });
    let answer = once(&app.store, key, Arc::new(render), move |work| {
        let new = new.clone();
        Box::pin(async move { reviews::write_review(work, &new).await })
    });
    Ok(answer.await?.into_response())
}
