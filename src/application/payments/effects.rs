//! Executes the effects of the transitions of orders and their payments.

use crate::domain::events::{
    OrderCancelled, OrderFulfilled, OrderPaid, PaymentCaptured, PaymentFailed, PaymentRefundFailed,
    PaymentRefunded,
};
use crate::domain::ids::OrderId;
use crate::domain::money::Money;
use crate::domain::order::Order;
use crate::domain::payment::{OperationKind, OperationStatus, Payment, PaymentOperation};
use crate::domain::placed_order::{Effect, OrderEvent, PlacedOrder, return_wait};
use crate::domain::state::State;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{
    CartRepository, DiscountRepository, InventoryRepository, OrderRepository, PaymentRepository, Settlement,
    UnitOfWork,
};

use super::invoicing;
use super::subscription_periods as periods;

/// Executes the effects in their order. Returns the orders that charge the next period of an ended subscription; the
/// caller cancels them.
pub(super) async fn execute(
    work: &mut UnitOfWork,
    placed: &mut PlacedOrder,
    effects: Vec<Effect>,
) -> Result<Vec<OrderId>, Failure> {
    let mut charges = Vec::new();
    for effect in effects {
        let PlacedOrder { order, payment } = &mut *placed;
        match effect {
            Effect::SettleAuthorization(outcome) => settle_authorization(work, payment, outcome).await?,
            Effect::SellStock => InventoryRepository::sell(work, order.id).await?,
            Effect::ReleaseStock => InventoryRepository::release(work, order.id).await?,
            Effect::Restock => restock(work, order).await?,
            Effect::RestockIfReturned => {
                let operations = PaymentRepository(work).operations(payment.id).await?;
                if operations
                    .iter()
                    .any(|operation| operation.restock && operation.status == OperationStatus::Succeeded)
                {
                    restock(work, order).await?;
                }
            }
            Effect::ReopenCart => {
                if let Some(cart) = order.cart_id {
                    CartRepository::reopen(work, cart, order.id).await?;
                }
            }
            Effect::ReleaseDiscount => {
                DiscountRepository::release_use(work, order.id).await?;
            }
            Effect::RecordPurchases => OrderRepository::record_purchases(work, order).await?,
            Effect::RemovePurchases => OrderRepository::remove_purchases(work, order).await?,
            Effect::PaySubscriptions => periods::pay(work, order, payment).await?,
            // rare, and boxed for the size of the future
            Effect::FailSubscriptionCharge => Box::pin(periods::fail(work, order)).await?,
            Effect::PostponeSubscriptionCharge => Box::pin(periods::postpone(work, order)).await?,
            Effect::EndSubscriptions => charges.extend(periods::end_by_order(work, order.id).await?),
            Effect::IssueInvoice => invoicing::invoice(work, placed).await?,
            Effect::IssueCreditNote(operation) => {
                let reason = operation.reason.as_deref();
                invoicing::credit_note(work, placed, operation.id, operation.amount, reason).await?;
            }
            Effect::ReturnMoney { kind, amount, reason } => {
                return_money(work, payment, kind, amount, reason).await?;
            }
            // customers are not notified of what happened outside the store
            Effect::Publish(_) if payment.is_imported() => {}
            Effect::Publish(event) => publish(work, order, payment, event).await?,
        }
    }
    Ok(charges)
}

/// Settles the authorization in the ledger, if it is still pending.
async fn settle_authorization(
    work: &mut UnitOfWork,
    payment: &Payment,
    outcome: Result<(), String>,
) -> Result<(), Failure> {
    let settlement = Settlement {
        status: if outcome.is_ok() { OperationStatus::Succeeded } else { OperationStatus::Failed },
        reference: payment.provider_reference.as_deref(),
        failure: outcome.as_ref().err().map(String::as_str),
    };
    Ok(PaymentRepository::settle_authorization(work, payment.id, settlement).await?)
}

async fn restock(work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    let lines: Vec<_> = order.lines.iter().map(|line| (line.variant_id, line.quantity)).collect();
    Ok(InventoryRepository::restock(work, &lines).await?)
}

/// Adds the operation that voids or refunds an amount to the ledger, unless the provider refused that too often. The
/// recovery sends the operation.
pub(super) async fn return_money(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    kind: OperationKind,
    amount: Money,
    reason: &str,
) -> Result<(), Failure> {
    let operations = PaymentRepository(work).operations(payment.id).await?;
    let Some(wait) = return_wait(&operations, kind) else {
        tracing::error!(payment = %payment.id, kind = ?kind, %amount, "the provider refused too often: void or refund the payment at the provider");
        return Ok(());
    };
    let now = work.now();
    let operation = PaymentOperation {
        reason: Some(reason.to_owned()),
        ..PaymentOperation::pending(work.id(), payment.id, kind, amount, now)
    };
    payment.begin(&operation, later(now, wait)).map_err(Technical::internal)?;
    Ok(work.insert(&operation).await?)
}

async fn publish(
    work: &mut UnitOfWork,
    order: &Order,
    payment: &Payment,
    event: OrderEvent,
) -> Result<(), Failure> {
    let (order_id, payment_id) = (order.id, payment.id);
    let Order { number, user_id, .. } = *order;
    match event {
        OrderEvent::OrderPaid => {
            work.publish(&OrderPaid { order_id, number, user_id, total: order.total }).await?;
        }
        OrderEvent::OrderCancelled(reason) => {
            let reason = reason.to_owned();
            work.publish(&OrderCancelled { order_id, number, user_id, reason }).await?;
        }
        OrderEvent::OrderFulfilled => {
            let digital = order.is_digital();
            work.publish(&OrderFulfilled { order_id, number, user_id, digital }).await?;
        }
        OrderEvent::PaymentCaptured(amount) => {
            work.publish(&PaymentCaptured { payment_id, order_id, amount }).await?;
        }
        OrderEvent::PaymentFailed(reason) => {
            let reason = reason.name().to_owned();
            work.publish(&PaymentFailed { payment_id, order_id, reason }).await?;
        }
        OrderEvent::PaymentRefunded(amount) => {
            work.publish(&PaymentRefunded { payment_id, order_id, number, user_id, amount }).await?;
        }
        OrderEvent::PaymentRefundFailed(amount, reason) => {
            tracing::error!(payment = %payment_id, %amount, reason, "the payment provider refused to void or refund a payment");
            work.publish(&PaymentRefundFailed { payment_id, order_id, amount, reason }).await?;
        }
    }
    Ok(())
}
