//! Queries on orders with their payments, payment operations and invoices. Handlers check access before they call these
//! functions.

use std::collections::HashMap;

use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::invoice::{Invoice, InvoiceKind};
use crate::domain::order::Order;
use crate::domain::payment::PaymentOperation;
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::infrastructure::repositories::{
    InvoiceRepository, OrderFilter, OrderRepository, Page, PaymentRepository,
};

use crate::application::Store;
use crate::application::payments::placed_orders;

/// Returns a page of orders with their payments, newest first.
pub async fn orders(
    store: &Store,
    filter: &OrderFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<PlacedOrder>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    let Page { items, next } = OrderRepository(&mut connection).list(filter, &request).await?;
    let ids: Vec<OrderId> = items.iter().map(|order| order.id).collect();
    let payments = PaymentRepository(&mut connection).by_orders(&ids).await?;
    let mut payments: HashMap<_, _> =
        payments.into_iter().map(|payment| (payment.order_id, payment)).collect();
    let with_payment = |order: Order| {
        let payment = payments.remove(&order.id);
        let payment =
            payment.ok_or_else(|| Technical::internal(format!("order {} has no payment", order.id)))?;
        Ok(PlacedOrder { order, payment })
    };
    let items: Result<Vec<_>, Technical> = items.into_iter().map(with_payment).collect();
    Ok(Page { items: items?, next })
}

/// Returns the order of a payment, with the payment.
pub async fn order_of_payment(store: &Store, id: PaymentId) -> Result<PlacedOrder, Failure> {
    placed_orders::get_by_payment(&mut store.database().read().await?, id).await
}

/// Returns an order with the operations of its payment, oldest first, all of one snapshot.
pub async fn order_with_operations(
    store: &Store,
    id: OrderId,
) -> Result<(PlacedOrder, Vec<PaymentOperation>), Failure> {
    let read = store.database().snapshot(id, async |connection, id| {
        let placed = placed_orders::get(connection, id).await?;
        let operations = PaymentRepository(connection).operations(placed.payment.id).await?;
        Ok((placed, operations))
    });
    read.await
}

/// Returns the invoice of an order, and its credit notes.
///
/// # Errors
///
/// [`NotFound`] for an order or an invoice that does not exist.
pub async fn invoice(store: &Store, id: OrderId) -> Result<(Invoice, Vec<Invoice>), Failure> {
    let read = store.database().snapshot(id, async |connection, id| {
        connection.find::<Order>(id).await?.ok_or(NotFound::Order)?;
        Ok::<_, Failure>(InvoiceRepository(connection).by_order(id).await?)
    });
    let documents = read.await?;

    let (invoices, credit_notes): (Vec<_>, Vec<_>) =
        documents.into_iter().partition(|document| document.kind == InvoiceKind::Invoice);
    let invoice = invoices.into_iter().next().ok_or(NotFound::Invoice)?;
    Ok((invoice, credit_notes))
}
