//! What buyers say of products.

use jiff::Timestamp;

use super::ids::{ProductId, ReviewId, UserId};
use super::state::states;

states! {
    /// What moderation has said.
    ReviewStatus, "review", {
        /// Not looked at yet.
        Pending = "pending" -> [Approved, Rejected],
        /// Shown, and counted in the rating.
        Approved = "approved" -> [Rejected],
        /// Not shown.
        Rejected = "rejected" -> [Approved],
    }
}

/// A review; one a buyer and product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// Of what.
    pub product_id: ProductId,
    /// By whom.
    pub user_id: UserId,
    /// One to five stars.
    pub rating: i64,
    /// Its headline.
    pub title: String,
    /// Its text.
    pub body: String,
    /// What moderation has said.
    pub status: ReviewStatus,
    /// Goes up with every change.
    pub version: i64,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
