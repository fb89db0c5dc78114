//! Reviews: one for each buyer and product, and the rating of a product, which counts the approved ones.

use serde::Serialize;

use super::database::{
    CacheTag, Conditions, Connection, DatabaseError, ListError, Page, PageRequest, UnitOfWork, params, table,
};
use crate::domain::ids::{ProductId, ReviewId, UserId};
use crate::domain::review::{Review, ReviewStatus};

table! {
    Review in "reviews", key ReviewId, listed by created_at;
    id,
    product_id,
    user_id,
    rating,
    title,
    body,
    status,
    version,
    created_at,
    updated_at,
}

/// Which reviews a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReviewFilter {
    /// The approved reviews of a product.
    ShownOf(ProductId),
    /// The reviews with this status.
    In(ReviewStatus),
    /// The reviews of a user.
    By(UserId),
}

/// Queries on reviews.
pub struct ReviewRepository<'a>(pub &'a mut Connection);

impl ReviewRepository<'_> {
    /// Returns a page of reviews, newest first.
    pub async fn list(
        &mut self,
        filter: ReviewFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Review>, ListError> {
        let all = Conditions::default();
        let conditions = match filter {
            ReviewFilter::ShownOf(product) => all.compare("product_id =", product).and("status = 'approved'"),
            ReviewFilter::In(status) => all.compare("status =", status),
            ReviewFilter::By(user) => all.compare("user_id =", user),
        };
        self.0.newest(&filter, conditions, request).await
    }

    /// Returns whether a user has bought a product, which is required for a review.
    pub async fn has_bought(
        &mut self,
        user_id: UserId,
        product_id: ProductId,
    ) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM purchases p JOIN orders o ON o.id = p.order_id \
                   WHERE p.user_id = $1 AND p.product_id = $2 AND o.status IN ('paid', 'fulfilled'))";
        self.0.one(sql, &params![user_id, product_id]).await
    }

    /// Inserts a review unless the user has reviewed the product already; returns whether it was inserted.
    pub async fn insert_once(work: &mut UnitOfWork, review: &Review) -> Result<bool, DatabaseError> {
        let added = work.insert_new(review).await?;
        if added && review.status == ReviewStatus::Approved {
            count(work, review.product_id, review.rating, 1).await?;
        }
        Ok(added)
    }

    /// Changes the status of a review from `from` to `to` and updates the rating of the product; returns whether the
    /// status was `from`.
    pub async fn moderate(
        work: &mut UnitOfWork,
        id: ReviewId,
        from: ReviewStatus,
        to: ReviewStatus,
    ) -> Result<bool, DatabaseError> {
        // Of concurrent calls one finds the row, so the rating is changed once.
        let sql = "UPDATE reviews SET status = $3, version = version + 1, updated_at = $4 \
                   WHERE id = $1 AND status = $2 RETURNING product_id, rating";
        let values = params![id, from, to, work.now()];
        let Some((product_id, rating)) = work.first::<(ProductId, i64)>(sql, &values).await? else {
            return Ok(false);
        };
        let counted = |status| i64::from(status == ReviewStatus::Approved);
        let change = counted(to) - counted(from);
        if change != 0 {
            count(work, product_id, change * rating, change).await?;
        }
        Ok(true)
    }
}

/// Changes the rating of a product, and increments its version, because clients cache the product with its rating.
async fn count(
    work: &mut UnitOfWork,
    product_id: ProductId,
    stars: i64,
    reviews: i64,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE products SET rating_sum = rating_sum + $2, rating_count = rating_count + $3, \
               version = version + 1, updated_at = $4 WHERE id = $1";
    let now = work.now();
    work.touch(CacheTag::Product(product_id));
    work.defer(sql, &params![product_id, stars, reviews, now]).await
}
