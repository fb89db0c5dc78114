//! Discounts: found by their code, and never redeemed more often than their limit.

use jiff::Timestamp;

use super::database::{
    CacheTag, Conditions, Connection, DatabaseError, FromRow, ListError, Page, PageRequest, Param, Row,
    ToColumns, UnitOfWork, params, select, table,
};
use crate::domain::discount::{Discount, DiscountKind, code_key};
use crate::domain::ids::{DiscountId, OrderId};
use crate::domain::money::Money;

table! {
    // `DiscountRepository::redeem` counts the uses while the rest may be edited.
    Discount in "discounts", key DiscountId, computed code_key: |discount| code_key(&discount.code),
    versioned except [used], listed by created_at, shown as CacheTag::Discount;
    id,
    code,
    kind as (basis_points, amount, amount_currency),
    minimum as (minimum, minimum_currency),
    usage_limit,
    used,
    starts_at,
    ends_at,
    active,
    version,
    created_at,
    updated_at,
}

impl FromRow for DiscountKind {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        match row.read::<(Option<u32>, Option<Money>)>()? {
            (Some(basis_points), None) => Ok(Self::Percent { basis_points }),
            (None, Some(amount)) => Ok(Self::Fixed { amount }),
            _ => Err(DatabaseError::Internal("a discount has neither a rate nor an amount".into())),
        }
    }
}

impl ToColumns for DiscountKind {
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>) {
        let (basis_points, amount) = match *self {
            Self::Percent { basis_points } => (Some(basis_points), None),
            Self::Fixed { amount } => (None, Some(amount)),
        };
        values.push(basis_points.into());
        values.extend(params![amount.map(|money| money.amount), amount.map(|money| money.currency)]);
    }
}

const BY_CODE: &str = "WHERE code_key = $1";
const USES: &str = "SELECT used FROM discounts WHERE id = $1";
const REDEEM: &str = "UPDATE discounts SET used = used + 1 WHERE id = $1 AND active \
                      AND (starts_at IS NULL OR starts_at <= $2) AND (ends_at IS NULL OR ends_at > $2) \
                      AND (usage_limit IS NULL OR used < usage_limit)";

/// Queries on discounts.
pub struct DiscountRepository<'a>(pub &'a mut Connection);

impl DiscountRepository<'_> {
    /// Returns the discount with this code, in any spelling.
    pub async fn by_code(&mut self, code: &str) -> Result<Option<Discount>, DatabaseError> {
        self.0.first(&select::<Discount>(BY_CODE), &params![code_key(code)]).await
    }

    /// Sends the statement of [`DiscountRepository::by_code`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn by_code_ahead(&mut self, code: &str) {
        self.0.send_ahead(&select::<Discount>(BY_CODE), &params![code_key(code)]);
    }

    /// Returns a page of discounts, newest first.
    pub async fn list(&mut self, request: &PageRequest<'_>) -> Result<Page<Discount>, ListError> {
        self.0.newest(&(), Conditions::default(), request).await
    }

    /// Removes a discount that no order has redeemed; returns whether it was removed.
    pub async fn remove_unused(work: &mut UnitOfWork, id: DiscountId) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM discounts WHERE id = $1 AND used = 0 \
                   AND NOT EXISTS (SELECT 1 FROM discount_uses WHERE discount_id = $1)";
        work.touch(CacheTag::Discount(id));
        Ok(work.execute(sql, &params![id]).await? == 1)
    }

    /// Returns how often a discount was redeemed; `None` if there is no such discount.
    pub async fn uses(&mut self, id: DiscountId) -> Result<Option<i64>, DatabaseError> {
        self.0.first(USES, &params![id]).await
    }

    /// Sends the statement of [`DiscountRepository::uses`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn uses_ahead(&mut self, id: DiscountId) {
        self.0.send_ahead(USES, &params![id]);
    }

    /// Redeems a discount for an order that was inserted before, if the discount is valid at `now` and its limit is not
    /// reached; returns whether it was redeemed.
    ///
    /// A unique key of the table allows one discount for each order.
    pub async fn redeem(
        work: &mut UnitOfWork,
        id: DiscountId,
        order_id: OrderId,
        now: Timestamp,
    ) -> Result<bool, DatabaseError> {
        if work.execute(REDEEM, &params![id, now]).await? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO discount_uses (order_id, discount_id) VALUES ($1, $2)";
        work.defer(sql, &params![order_id, id]).await.map(|()| true)
    }

    /// Sends the update of [`DiscountRepository::redeem`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn redeem_ahead(work: &mut UnitOfWork, id: DiscountId, now: Timestamp) {
        work.send_ahead(REDEEM, &params![id, now]);
    }

    /// Releases the discount that an order redeemed, once; returns whether it had redeemed one.
    pub async fn release_use(work: &mut UnitOfWork, order_id: OrderId) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM discount_uses WHERE order_id = $1 RETURNING discount_id";
        let Some(id) = work.first::<DiscountId>(sql, &params![order_id]).await? else {
            return Ok(false);
        };
        let sql = "UPDATE discounts SET used = used - 1 WHERE id = $1";
        work.execute(sql, &params![id]).await.map(|_| true)
    }
}
