//! Orders: lists by user, status and number, and the purchases that allow a review.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::database::{
    Connection, Cursors, DatabaseError, Page, Param, UnitOfWork, newest_first, params, table,
};
use crate::domain::ids::{OrderId, ProductId, UserId};
use crate::domain::order::{Order, OrderStatus};

table! {
    Order in "orders", key OrderId, versioned, listed by placed_at;
    id,
    number,
    user_id,
    email,
    seller,
    status,
    cart_id,
    subscription_id,
    currency,
    subtotal: money(currency),
    discount: money(currency),
    shipping: money(currency),
    tax: money(currency),
    total: money(currency),
    taxes: json,
    discount_code,
    shipping_method,
    shipping_address: json,
    billing_address: json,
    lines: json,
    tracking_code,
    version,
    placed_at,
    updated_at,
    fulfilled_at,
}

/// Which orders a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OrderFilter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
    /// Only those with this status.
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
            values.push(status.into());
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
    /// Returns a page of orders, newest first.
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

    /// Returns the query plans of the first page of a list and of a later one, for tests that they read an index.
    pub async fn explain(&mut self, filter: &OrderFilter) -> Result<Vec<Vec<String>>, DatabaseError> {
        let mut plans = Vec::new();
        for after in [None, Some((Timestamp::UNIX_EPOCH, Uuid::nil()))] {
            let (condition, values) = filter.condition();
            let (sql, values) = newest_first::<Order>(&condition, &values, 20, after);
            plans.push(self.0.explain(&sql, &values).await?);
        }
        Ok(plans)
    }

    /// Records the products that a user bought with a paid order.
    pub async fn record_purchases(work: &mut UnitOfWork, order: &Order) -> Result<(), DatabaseError> {
        let Some(user_id) = order.user_id else { return Ok(()) };
        let mut products: Vec<ProductId> = order.lines.iter().map(|line| line.product_id).collect();
        products.sort_unstable();
        products.dedup();
        for product_id in products {
            let sql = "INSERT INTO purchases (user_id, product_id, order_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            work.defer(sql, &params![user_id, product_id, order.id]).await?;
        }
        Ok(())
    }

    /// Removes the purchases of an order that is cancelled or refunded.
    pub async fn remove_purchases(work: &mut UnitOfWork, order: &Order) -> Result<(), DatabaseError> {
        let Some(user_id) = order.user_id else { return Ok(()) };
        let sql = "DELETE FROM purchases WHERE user_id = $1 AND order_id = $2";
        work.defer(sql, &params![user_id, order.id]).await
    }
}
