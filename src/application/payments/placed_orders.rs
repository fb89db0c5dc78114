//! Loading, locking and saving an order with its payment.
//!
//! Rows are locked in the order payment, order, subscription; several orders in the order of their ids, before any
//! subscription.

use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::order::Order;
use crate::domain::payment::Payment;
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{Connection, PaymentRepository, UnitOfWork};

/// Loads an order with its payment.
pub(crate) async fn get(connection: &mut Connection, id: OrderId) -> Result<PlacedOrder, Failure> {
    let order = connection.find(id).await?.ok_or(NotFound::Order)?;
    let payment = PaymentRepository(connection).by_order(id).await?.ok_or(NotFound::Payment)?;
    Ok(PlacedOrder { order, payment })
}

/// Loads a payment with its order.
pub(crate) async fn get_by_payment(
    connection: &mut Connection,
    id: PaymentId,
) -> Result<PlacedOrder, Failure> {
    let payment: Payment = connection.find(id).await?.ok_or(NotFound::Payment)?;
    let order = connection.find(payment.order_id).await?.ok_or(NotFound::Payment)?;
    Ok(PlacedOrder { order, payment })
}

/// Locks an order with its payment.
pub(crate) async fn lock(work: &mut UnitOfWork, id: OrderId) -> Result<PlacedOrder, Failure> {
    // sent together
    PaymentRepository::lock_by_order_ahead(work, id);
    work.lock_ahead::<Order>(&id);

    let payment = PaymentRepository::lock_by_order(work, id).await?.ok_or(NotFound::Order)?;
    let order = work.lock(id).await?.ok_or(NotFound::Order)?;
    Ok(PlacedOrder { order, payment })
}

/// Locks a payment with its order.
pub(crate) async fn lock_by_payment(work: &mut UnitOfWork, id: PaymentId) -> Result<PlacedOrder, Failure> {
    let payment = work.lock::<Payment>(id).await?.ok_or(NotFound::Payment)?;
    let order = work.lock(payment.order_id).await?.ok_or(NotFound::Order)?;
    Ok(PlacedOrder { order, payment })
}

/// Saves a locked order with its payment.
pub(crate) async fn save(work: &mut UnitOfWork, placed: &mut PlacedOrder) -> Result<(), Failure> {
    work.save(&mut placed.payment).await?;
    work.save(&mut placed.order).await?;
    Ok(())
}
