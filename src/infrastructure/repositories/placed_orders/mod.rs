//! Orders with their payments, which two repositories have.

use std::collections::HashMap;

use super::database::{Connection, DatabaseError, ListError, Page, PageRequest};
use super::{OrderFilter, OrderRepository, PaymentRepository};
use crate::domain::ids::OrderId;
use crate::domain::order::Order;
use crate::domain::placed_order::PlacedOrder;

/// Returns a page of orders with their payments, newest first.
///
/// # Errors
///
/// [`ListError`], also if an order has no payment.
pub async fn list_placed_orders(
    connection: &mut Connection,
    filter: &OrderFilter,
    request: &PageRequest<'_>,
) -> Result<Page<PlacedOrder>, ListError> {
    let Page { items, next } = OrderRepository(connection).list(filter, request).await?;
    let ids: Vec<OrderId> = items.iter().map(|order| order.id).collect();
    let payments = PaymentRepository(connection).by_orders(&ids).await?;
    let mut payments: HashMap<_, _> =
        payments.into_iter().map(|payment| (payment.order_id, payment)).collect();
    let with_payment = |order: Order| match payments.remove(&order.id) {
        Some(payment) => Ok(PlacedOrder { order, payment }),
        None => Err(DatabaseError::Internal(format!("order {} has no payment", order.id))),
    };
    let items: Result<Vec<_>, DatabaseError> = items.into_iter().map(with_payment).collect();
    Ok(Page { items: items?, next })
}
