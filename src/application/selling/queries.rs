//! Queries on orders with their payments, payment operations and invoices. Handlers check access before they call these
//! functions.

use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::invoice::{Invoice, InvoiceKind};
use crate::domain::order::Order;
use crate::domain::payment::PaymentOperation;
use crate::domain::placed_order::PlacedOrder;
use crate::domain::user::UserData;
use crate::infrastructure::cache::{NewestOrders, Own, Private, ReadStatus, Served};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{
    DEFAULT_LIMIT, InvoiceRepository, OrderFilter, Page, PaymentRepository, list_placed_orders,
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
    Ok(list_placed_orders(&mut store.database().read().await?, filter, &request).await?)
}

/// Returns a page of the orders of the user who sends the request, with their payments, newest first. Only the first
/// page of the default length is kept, and comes with what came of its read.
pub async fn own_orders(
    store: &Store,
    data: UserData,
    key: NewestOrders,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Private<Page<PlacedOrder>>, Option<ReadStatus>), Failure> {
    if cursor.is_none() && limit == DEFAULT_LIMIT {
        let Served { value, status, .. } =
            store.infrastructure.caches.own().order.served(&Own { data, key }).await?;
        return Ok((value, Some(status)));
    }
    let filter = OrderFilter { user_id: Some(data.user_id), status: key.status, number: None };
    Ok((Private::new(orders(store, &filter, limit, cursor).await?), None))
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
