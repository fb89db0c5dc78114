//! What buyers say of products: written once each, shown when moderation has approved it.

use crate::domain::events::{ProductChanged, ReviewWritten};
use crate::domain::ids::{ProductId, ReviewId, UserId};
use crate::domain::review::{Review, ReviewStatus};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound, UnauthorizedAccessException};
use crate::infrastructure::repositories::{
    Connection, Page, ProductRepository, ReviewFilter, ReviewRepository, UnitOfWork,
};

use crate::application::Store;

/// What a buyer says of a product.
#[derive(Debug, Clone)]
pub struct NewReview {
    /// Of which.
    pub product_id: ProductId,
    /// Who.
    pub user_id: UserId,
    /// One to five stars.
    pub rating: i64,
    /// Its headline.
    pub title: String,
    /// Its text.
    pub body: String,
}

/// Takes what a buyer says; moderation has not looked at it yet.
pub async fn write_review(work: &mut UnitOfWork, new: &NewReview) -> Result<Review, Failure> {
    let (product_id, user_id, now) = (new.product_id, new.user_id, work.now());
    check_shown(work, product_id).await?;
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
        return Err(Conflict::AlreadyExists { field: "product_id" }.into());
    }
    work.publish(&ReviewWritten { review_id: review.id, product_id }).await?;
    Ok(review)
}

/// A page of reviews, newest first.
pub async fn reviews(
    store: &Store,
    filter: ReviewFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<Review>, Failure> {
    let list = format!("reviews {filter:?}");
    let cursors = store.database().cursor_key().cursors(&list);
    let after = cursor.map(|cursor| cursors.decode(cursor)).transpose()?;
    let mut connection = store.database().read().await?;
    if let ReviewFilter::ShownOf(product_id) = filter {
        check_shown(&mut connection, product_id).await?;
    }
    Ok(ReviewRepository(&mut connection).list(filter, limit, after, &cursors).await?)
}

/// Notes what moderation says of a review.
pub async fn moderate(work: &mut UnitOfWork, id: ReviewId, verdict: ReviewStatus) -> Result<Review, Failure> {
    let review = work.find::<Review>(id).await?.ok_or(NotFound::Review)?;
    let verdict = review.status.step(verdict)?;
    if !ReviewRepository::moderate(work, id, review.status, verdict).await? {
        return Err(Conflict::Stale.into());
    }
    // its rating may be another now
    work.publish(&ProductChanged { product_id: review.product_id }).await?;
    Ok(work.find(id).await?.ok_or(NotFound::Review)?)
}

/// Refuses a product that shoppers do not see.
async fn check_shown(connection: &mut Connection, id: ProductId) -> Result<(), Failure> {
    let active = ProductRepository(connection).is_active(id).await?;
    Ok(active.then_some(()).ok_or(NotFound::Product)?)
}
