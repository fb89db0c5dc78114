//! Orders: a user's history, lists by state and time, numbers without gaps or races.

use jiff::Timestamp;
use uuid::Uuid;

use super::database::{
    Connection, Cursors, DatabaseError, Json, ListedByTime, Page, Param, Row, Table, UnitOfWork, Versioned,
    newest_first, params,
};
use crate::domain::ids::{OrderId, ProductId, UserId};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::state::State;

impl Table for Order {
    const NAME: &'static str = "orders";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "number",
        "user_id",
        "email",
        "status",
        "cart_id",
        "subscription_id",
        "currency",
        "subtotal",
        "discount",
        "shipping",
        "tax",
        "total",
        "taxes",
        "discount_code",
        "shipping_method",
        "shipping_address",
        "billing_address",
        "lines",
        "tracking_code",
        "version",
        "placed_at",
        "updated_at",
        "fulfilled_at",
        "seller",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get(0)?,
            number: row.get(1)?,
            user_id: row.get(2)?,
            email: row.get(3)?,
            status: row.state(4)?,
            cart_id: row.get(5)?,
            subscription_id: row.get(6)?,
            currency: row.get(7)?,
            subtotal: row.get(8)?,
            discount: row.get(9)?,
            shipping: row.get(10)?,
            tax: row.get(11)?,
            total: row.get(12)?,
            taxes: row.get::<Json<_>>(13)?.0,
            discount_code: row.get(14)?,
            shipping_method: row.get(15)?,
            shipping_address: row.get::<Json<_>>(16)?.0,
            billing_address: row.get::<Json<_>>(17)?.0,
            lines: row.get::<Json<_>>(18)?.0,
            tracking_code: row.get(19)?,
            version: row.get(20)?,
            placed_at: row.get(21)?,
            updated_at: row.get(22)?,
            fulfilled_at: row.get(23)?,
            seller: row.get(24)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            self.number,
            self.user_id,
            &self.email,
            self.status.name(),
            self.cart_id,
            self.subscription_id,
            self.currency,
            self.subtotal,
            self.discount,
            self.shipping,
            self.tax,
            self.total,
            Param::json(&self.taxes),
            self.discount_code.as_ref(),
            self.shipping_method.as_ref(),
            Param::json(&self.shipping_address),
            Param::json(&self.billing_address),
            Param::json(&self.lines),
            self.tracking_code.as_ref(),
            self.version,
            self.placed_at,
            self.updated_at,
            self.fulfilled_at,
            &self.seller,
        ]
        .into()
    }
}

impl Versioned for Order {
    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl ListedByTime for Order {
    const TIME: &'static str = "placed_at";

    fn place(&self) -> (Timestamp, Uuid) {
        (self.placed_at, self.id.0)
    }
}

/// Which orders a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only those in this state.
    pub status: Option<OrderStatus>,
    /// Only the one with this number.
    pub number: Option<i64>,
}

impl OrderFilter {
    fn condition(&self) -> (String, Vec<Param<'static>>) {
        let (mut conditions, mut values) = (vec!["TRUE".to_owned()], Vec::new());
        if let Some(user_id) = self.user_id {
            values.push(user_id.into());
            conditions.push(format!("user_id = ${}", values.len()));
        }
        if let Some(status) = self.status {
            values.push(status.name().into());
            conditions.push(format!("status = ${}", values.len()));
        }
        if let Some(number) = self.number {
            values.push(number.into());
            conditions.push(format!("number = ${}", values.len()));
        }
        (conditions.join(" AND "), values)
    }
}

/// Queries on orders.
pub struct OrderRepository<'a>(pub &'a mut Connection);

impl OrderRepository<'_> {
    /// A page of orders, newest first.
    pub async fn list(
        &mut self,
        filter: &OrderFilter,
        limit: usize,
        after: Option<(Timestamp, OrderId)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<Order>, DatabaseError> {
        let (condition, values) = filter.condition();
        self.0.newest(&condition, &values, limit, after, cursors).await
    }

    /// How the database walks to the first page of a list and to a later one: for tests that hold it to walking an
    /// index.
    pub async fn explain(&mut self, filter: &OrderFilter) -> Result<Vec<Vec<String>>, DatabaseError> {
        let mut plans = Vec::new();
        for after in [None, Some((Timestamp::UNIX_EPOCH, Uuid::nil()))] {
            let (condition, values) = filter.condition();
            let (sql, values) = newest_first::<Order>(&condition, &values, 20, after);
            plans.push(self.0.explain(&sql, &values).await?);
        }
        Ok(plans)
    }

    /// Takes the order for this unit of work: whoever else wants to change it waits.
    pub async fn lock(work: &mut UnitOfWork, id: OrderId) -> Result<Option<Order>, DatabaseError> {
        let sql = format!(
            "UPDATE orders SET version = version + 1, updated_at = $2 WHERE id = $1 RETURNING {}",
            Order::COLUMNS.join(", ")
        );
        let now = work.now();
        work.first(&sql, &params![id, now], Order::from_row).await
    }

    /// Writes the order's progress back; it was taken by [`OrderRepository::lock`].
    pub async fn save_progress(work: &mut UnitOfWork, order: &Order) -> Result<(), DatabaseError> {
        let sql = "UPDATE orders SET status = $2, tracking_code = $3, fulfilled_at = $4 WHERE id = $1";
        let values = params![order.id, order.status.name(), order.tracking_code.as_ref(), order.fulfilled_at];
        work.execute(sql, &values).await.map(drop)
    }

    /// Notes what a user bought with a paid order.
    pub async fn record_purchases(work: &mut UnitOfWork, order: &Order) -> Result<(), DatabaseError> {
        let Some(user_id) = order.user_id else { return Ok(()) };
        let mut products: Vec<ProductId> = order.lines.iter().map(|line| line.product_id).collect();
        products.sort_unstable();
        products.dedup();
        for product_id in products {
            let sql = "INSERT INTO purchases (user_id, product_id, order_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            work.execute(sql, &params![user_id, product_id, order.id]).await?;
        }
        Ok(())
    }

    /// Takes back what [`OrderRepository::record_purchases`] noted, when the order is cancelled or refunded.
    pub async fn remove_purchases(work: &mut UnitOfWork, order: &Order) -> Result<(), DatabaseError> {
        let Some(user_id) = order.user_id else { return Ok(()) };
        let sql = "DELETE FROM purchases WHERE user_id = $1 AND order_id = $2";
        work.execute(sql, &params![user_id, order.id]).await.map(drop)
    }
}
