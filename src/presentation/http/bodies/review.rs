//! A review.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{ProductId, ReviewId, UserId};
use crate::domain::review::{Review, ReviewStatus};

/// What a buyer says of a product. Shoppers are not told who it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Review)]
pub struct ReviewBody {
    /// Its id.
    id: ReviewId,
    /// Of which product.
    product_id: ProductId,
    /// Who wrote it; told to administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    /// One to five stars.
    rating: i64,
    /// Its headline; may be empty.
    title: String,
    /// Its text; may be empty.
    body: String,
    /// What moderation has said. Only what is approved is shown and counted.
    status: ReviewStatus,
    /// When it was written.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

impl ReviewBody {
    /// As shoppers see it.
    pub fn of(review: &Review) -> Self {
        Self {
            id: review.id,
            product_id: review.product_id,
            user_id: None,
            rating: review.rating,
            title: review.title.clone(),
            body: review.body.clone(),
            status: review.status,
            created_at: review.created_at,
            updated_at: review.updated_at,
        }
    }

    /// As administrators see it.
    pub fn with_writer(review: &Review) -> Self {
        Self { user_id: Some(review.user_id), ..Self::of(review) }
    }
}
