//! Discounts: found by their code, and never used more often than they may be.

use jiff::Timestamp;
use uuid::Uuid;

use super::database::{
    Connection, Cursors, DatabaseError, ListedByTime, Page, Param, Row, Table, UnitOfWork, Versioned, params,
    scalar, select,
};
use crate::domain::discount::{Discount, DiscountKind, code_key};
use crate::domain::ids::{DiscountId, OrderId};
use crate::domain::money::Money;

impl Table for Discount {
    const NAME: &'static str = "discounts";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "code",
        "basis_points",
        "amount",
        "amount_currency",
        "minimum",
        "minimum_currency",
        "usage_limit",
        "used",
        "starts_at",
        "ends_at",
        "active",
        "version",
        "created_at",
        "updated_at",
        "code_key",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        let percent = row.get::<Option<i64>>(2)?.and_then(|basis_points| u32::try_from(basis_points).ok());
        let kind = match (percent, money(row, 3)?) {
            (Some(basis_points), None) => DiscountKind::Percent { basis_points },
            (None, Some(amount)) => DiscountKind::Fixed { amount },
            _ => {
                return Err(DatabaseError::Internal(
                    "a discount takes off neither a part nor an amount".into(),
                ));
            }
        };
        Ok(Self {
            id: row.get(0)?,
            code: row.get(1)?,
            kind,
            minimum: money(row, 5)?,
            usage_limit: row.get(7)?,
            used: row.get(8)?,
            starts_at: row.get(9)?,
            ends_at: row.get(10)?,
            active: row.get(11)?,
            version: row.get(12)?,
            created_at: row.get(13)?,
            updated_at: row.get(14)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        let (percent, fixed) = match self.kind {
            DiscountKind::Percent { basis_points } => (Some(i64::from(basis_points)), None),
            DiscountKind::Fixed { amount } => (None, Some(amount)),
        };
        params![
            self.id,
            &self.code,
            percent,
            fixed.map(|money| money.amount),
            fixed.map(|money| money.currency),
            self.minimum.map(|money| money.amount),
            self.minimum.map(|money| money.currency),
            self.usage_limit,
            self.used,
            self.starts_at,
            self.ends_at,
            self.active,
            self.version,
            self.created_at,
            self.updated_at,
            code_key(&self.code),
        ]
        .into()
    }
}

/// The amount in a column and the currency in the next, if there is one.
fn money(row: &Row<'_>, column: usize) -> Result<Option<Money>, DatabaseError> {
    let amount: Option<i64> = row.get(column)?;
    Ok(amount.zip(row.get(column + 1)?).map(|(amount, currency)| Money::new(amount, currency)))
}

impl Versioned for Discount {
    /// Counted by [`DiscountRepository::redeem`] while somebody may be editing the rest.
    const APART: &'static [&'static str] = &["used"];

    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl ListedByTime for Discount {
    fn place(&self) -> (Timestamp, Uuid) {
        (self.created_at, self.id.0)
    }
}

/// The queries of discounts.
pub struct DiscountRepository<'a>(pub &'a mut Connection);

impl DiscountRepository<'_> {
    /// The discount with this code, in any spelling.
    pub async fn by_code(&mut self, code: &str) -> Result<Option<Discount>, DatabaseError> {
        let sql = select::<Discount>("WHERE code_key = $1");
        self.0.first(&sql, &params![code_key(code)], Discount::from_row).await
    }

    /// A page of discounts, newest first.
    pub async fn list(
        &mut self,
        limit: usize,
        after: Option<(Timestamp, DiscountId)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<Discount>, DatabaseError> {
        self.0.newest("TRUE", &[], limit, after, cursors).await
    }

    /// Removes a discount that no order has used; whether it was removed.
    pub async fn remove_unused(work: &mut UnitOfWork, id: DiscountId) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM discounts WHERE id = $1 AND used = 0 \
                   AND NOT EXISTS (SELECT 1 FROM discount_uses WHERE discount_id = $1)";
        Ok(work.execute(sql, &params![id]).await? == 1)
    }

    /// Takes one use for an order that was added before, if at `now` there is one left to take; whether there was.
    ///
    /// That an order takes no second one is a rule of the table.
    pub async fn redeem(
        work: &mut UnitOfWork,
        id: DiscountId,
        order_id: OrderId,
        now: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE discounts SET used = used + 1 WHERE id = $1 AND active \
                   AND (starts_at IS NULL OR starts_at <= $2) AND (ends_at IS NULL OR ends_at > $2) \
                   AND (usage_limit IS NULL OR used < usage_limit)";
        if work.execute(sql, &params![id, now]).await? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO discount_uses (order_id, discount_id) VALUES ($1, $2)";
        work.execute(sql, &params![order_id, id]).await.map(|_| true)
    }

    /// Gives back the use that an order took, once; whether it had taken one.
    pub async fn release_use(work: &mut UnitOfWork, order_id: OrderId) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM discount_uses WHERE order_id = $1 RETURNING discount_id";
        let Some(id) = work.first(sql, &params![order_id], scalar::<DiscountId>).await? else {
            return Ok(false);
        };
        let sql = "UPDATE discounts SET used = used - 1 WHERE id = $1";
        work.execute(sql, &params![id]).await.map(|_| true)
    }
}
