//! Orders: lists by user, status and number, and the purchases that allow a review.

use serde::Serialize;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Owner, Page, PageRequest, UnitOfWork, params, select,
    table,
};
use crate::domain::ids::{OrderId, ProductId, UserId};
use crate::domain::order::{Order, OrderStatus};

table! {
    Order in "orders", key OrderId, versioned, listed by placed_at,
    owned by |order| Owner::Buyer(order.id, order.user_id);
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
    /// Returns the conditions on the orders of the list.
    pub fn conditions(&self) -> Conditions<'static> {
        Conditions::default()
            .compare_some("user_id =", self.user_id)
            .compare_some("status =", self.status)
            .compare_some("number =", self.number)
    }
}

/// Queries on orders.
pub struct OrderRepository<'a>(pub &'a mut Connection);

impl OrderRepository<'_> {
    /// Returns a page of orders, newest first.
    pub async fn list(
        &mut self,
        filter: &OrderFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Order>, ListError> {
        self.0.newest(filter, filter.conditions(), request).await
    }

    /// Returns the orders by which a user bought a product, the newest first: up to 20.
    pub async fn with_product(
        &mut self,
        user_id: UserId,
        product_id: ProductId,
    ) -> Result<Vec<Order>, DatabaseError> {
        let sql = select::<Order>(
            "WHERE id IN (SELECT order_id FROM purchases WHERE user_id = $1 AND product_id = $2) \
             ORDER BY placed_at DESC, id DESC LIMIT 20",
        );
        self.0.all(&sql, &params![user_id, product_id]).await
    }

    /// Records the products that a user bought with a paid order.
    pub async fn record_purchases(work: &mut UnitOfWork, order: &Order) -> Result<(), DatabaseError> {
        let Some(user_id) = order.user_id else { return Ok(()) };
        let mut products: Vec<ProductId> = order.lines.iter().map(|line| line.product_id).collect();
        products.sort_unstable();
        products.dedup();
        for product_id in products {
            let sql = "INSERT INTO purchases (user_id, product_id, order_id) VALUES ($1, $2, $3) \
                       ON CONFLICT DO NOTHING";
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
