//! A review.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{ProductId, ReviewId, UserId};
use crate::domain::review::{Review, ReviewStatus};

/// The review of a product by a buyer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Review)]
pub struct ReviewBody {
    /// The id of the review.
    id: ReviewId,
    /// The product.
    product_id: ProductId,
    /// The author. Only returned to administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    /// The rating: one to five stars.
    rating: i64,
    /// The headline; may be empty.
    title: String,
    /// The text; may be empty.
    body: String,
    /// The status of moderation. Only approved reviews are published and included in the product's rating.
    status: ReviewStatus,
    /// The time at which the review was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

impl ReviewBody {
    /// The body of a review for shoppers.
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

    /// The body of a review for administrators.
    pub fn with_author(review: &Review) -> Self {
        Self { user_id: Some(review.user_id), ..Self::of(review) }
    }
}
