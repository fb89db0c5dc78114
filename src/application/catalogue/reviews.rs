//! Reviews: a buyer writes one for a product, and it is published when moderation approves it.

use std::sync::Arc;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::events::{ProductChanged, ReviewWritten};
use crate::domain::ids::{ProductId, ReviewId, UserId};
use crate::domain::review::{Review, ReviewStatus};
use crate::domain::state::State;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound, UnauthorizedAccessException};
use crate::infrastructure::guards::{EmailFacts, EmailVerifiedGuard, Guard};
use crate::infrastructure::repositories::{
    Connection, Page, ProductRepository, ReviewFilter, ReviewRepository, StoredResponse, UnitOfWork,
};

use crate::application::idempotency::{Responder, once};
use crate::application::{Store, Terms};

/// The review to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReview {
    /// The rating: one to five stars.
    #[schema(minimum = 1, maximum = 5)]
    pub rating: i64,
    /// The headline.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub title: String,
    /// The text.
    #[serde(default)]
    #[schema(max_length = 10_000, format = "multiline")]
    pub body: String,
}

/// Creates the review of a product by a user who bought it. It is not published before moderation approves it.
pub async fn create(
    store: &Store,
    product_id: ProductId,
    user_id: UserId,
    new: CreateReview,
    responder: Responder<Review>,
) -> Result<StoredResponse, Failure> {
    let given = (Arc::clone(&store.terms), product_id, user_id, new);
    once(store, responder, given, async |work, (terms, product_id, user_id, new)| {
        create_in(work, terms, *product_id, *user_id, new).await
    })
    .await
}

async fn create_in(
    work: &mut UnitOfWork,
    terms: &Terms,
    product_id: ProductId,
    user_id: UserId,
    new: &CreateReview,
) -> Result<Review, Failure> {
    let now = work.now();
    check_visible(work, product_id).await?;
    let user: Option<User> = work.find(user_id).await?;
    EmailVerifiedGuard::check(EmailFacts::of(user.as_ref(), terms.verified_email.for_reviews))?;
    if !ReviewRepository(work).has_bought(user_id, product_id).await? {
        return Err(UnauthorizedAccessException::NotBought.into());
    }
    let review = Review {
        id: work.id(),
        product_id,
        user_id,
        rating: new.rating,
        title: new.title.clone(),
        body: new.body.clone(),
        status: ReviewStatus::Pending,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    if !ReviewRepository::insert_once(work, &review).await? {
        return Err(Conflict::AlreadyReviewed.into());
    }
    work.publish(&ReviewWritten { review_id: review.id, product_id }).await?;
    Ok(review)
}

/// Returns a page of reviews, newest first.
pub async fn reviews(
    store: &Store,
    filter: ReviewFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<Review>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    if let ReviewFilter::ShownOf(product_id) = filter {
        check_visible(&mut connection, product_id).await?;
    }
    Ok(ReviewRepository(&mut connection).list(filter, &request).await?)
}

/// Approves or rejects a review.
pub async fn moderate(store: &Store, id: ReviewId, verdict: ReviewStatus) -> Result<Review, Failure> {
    store
        .database()
        .write((id, verdict), async |work, (id, verdict)| moderate_in(work, *id, *verdict).await)
        .await
}

async fn moderate_in(work: &mut UnitOfWork, id: ReviewId, verdict: ReviewStatus) -> Result<Review, Failure> {
    let review = work.find::<Review>(id).await?.ok_or(NotFound::Review)?;
    let verdict = review.status.transition_to(verdict)?;
    if !ReviewRepository::moderate(work, id, review.status, verdict).await? {
        return Err(Conflict::Stale.into());
    }
    // The rating of the product may have changed.
    work.publish(&ProductChanged { product_id: review.product_id }).await?;
    Ok(work.find(id).await?.ok_or(NotFound::Review)?)
}

/// Fails if shoppers cannot see the product.
async fn check_visible(connection: &mut Connection, id: ProductId) -> Result<(), Failure> {
    let active = ProductRepository(connection).is_active(id).await?;
    Ok(active.then_some(()).ok_or(NotFound::Product)?)
}
