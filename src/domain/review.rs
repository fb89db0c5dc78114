//! Reviews of products by their buyers.

use jiff::Timestamp;

use super::ids::{ProductId, ReviewId, UserId};
use super::state::states;

states! {
    /// The moderation status of a review.
    ReviewStatus, "review", {
        /// Not moderated yet.
        Pending = "pending" -> [Approved, Rejected],
        /// Published, and counted in the product's rating.
        Approved = "approved" -> [Rejected],
        /// Not published.
        Rejected = "rejected" -> [Approved],
    }
}

/// A review. A user writes at most one for a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The id.
    pub id: ReviewId,
    /// The product.
    pub product_id: ProductId,
    /// The user who wrote the review.
    pub user_id: UserId,
    /// The rating: one to five stars.
    pub rating: i64,
    /// The headline.
    pub title: String,
    /// The text.
    pub body: String,
    /// The moderation status.
    pub status: ReviewStatus,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time at which the review was written, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}
