//! The one way a vendor's word becomes the store's: the answer to a checkout, what follows a notice, and what the recovery
//! asks for all end here, in any order and any number of times.
//!
//! | the charge is | the payment was pending | it was given up before |
//! | --- | --- | --- |
//! | held or taken | the order is paid, its stock is sold | the money goes back |
//! | declined or let go | the order is cancelled, its stock is free | nothing changes |

use crate::domain::events::{OrderCancelled, OrderPaid, PaymentCaptured, PaymentFailed};
use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{Payment, PaymentStatus, StepStatus};
use crate::domain::ports::{Charge, ChargeStatus, DeclineReason};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{
    CartRepository, DiscountRepository, InventoryRepository, OrderRepository, PaymentRepository, UnitOfWork,
};

use super::gateway_calls::FIRST_RETRY;
use super::settlement::give_back;
use crate::application::idempotency::later;
use crate::application::selling::invoicing;
use crate::application::selling::place_order::PlacedOrder;
use crate::application::subscriptions::lifecycle as subscriptions;

/// Why the authorization failed of a payment that the vendor never heard of.
pub(crate) const ABANDONED: &str = "abandoned";

/// Takes in how a charge stands. Done twice, or late, it changes nothing twice.
pub async fn apply_payment(
    work: &mut UnitOfWork,
    payment_id: PaymentId,
    charge: &Charge,
) -> Result<PlacedOrder, Failure> {
    let mut payment = PaymentRepository::lock(work, payment_id).await?.ok_or(NotFound::Payment)?;
    let mut order = OrderRepository::lock(work, payment.order_id).await?.ok_or(NotFound::Order)?;
    let open = payment.is_open();
    let given_up = matches!(payment.status, PaymentStatus::Failed | PaymentStatus::Voided);
    if (open || given_up) && !charge.reference.is_empty() {
        payment.provider_reference = Some(charge.reference.clone());
    }
    match &charge.status {
        ChargeStatus::Authorized | ChargeStatus::Captured if open || given_up => {
            accept(work, &mut payment, &mut order, charge).await?;
        }
        ChargeStatus::RequiresAction { url } if payment.status == PaymentStatus::Pending => {
            payment.status = payment.status.step(PaymentStatus::RequiresAction)?;
            payment.action_url = Some(url.clone());
        }
        ChargeStatus::Declined(reason) if open => {
            decline(work, &mut payment, &mut order, *reason).await?;
        }
        ChargeStatus::Voided if open => {
            void(work, &mut payment, &mut order, "voided").await?;
        }
        _ => {}
    }
    PaymentRepository::save_progress(work, &payment).await?;
    OrderRepository::save_progress(work, &order).await?;
    Ok(PlacedOrder { order, payment })
}

/// The vendor never heard of a payment whose time is over. It may still, if what was sent is under way: it is looked
/// for again for a while.
pub(crate) async fn abandon(work: &mut UnitOfWork, id: PaymentId) -> Result<(), Failure> {
    let mut payment = PaymentRepository::lock(work, id).await?.ok_or(NotFound::Payment)?;
    let mut order = OrderRepository::lock(work, payment.order_id).await?.ok_or(NotFound::Order)?;
    if !payment.is_open() {
        return Ok(());
    }
    void(work, &mut payment, &mut order, ABANDONED).await?;
    if payment.amount > 0 {
        payment.next_attempt_at = Some(later(work.now(), FIRST_RETRY));
    }
    PaymentRepository::save_progress(work, &payment).await?;
    Ok(OrderRepository::save_progress(work, &order).await?)
}

/// The vendor has the money, or holds it.
async fn accept(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    order: &mut Order,
    charge: &Charge,
) -> Result<(), Failure> {
    payment.authorized = charge.authorized;
    payment.captured = charge.captured;
    payment.failure = None;
    payment.action_url = None;
    payment.next_attempt_at = None;
    payment.status = payment.status.step(match charge.status {
        ChargeStatus::Captured => PaymentStatus::Captured,
        _ => PaymentStatus::Authorized,
    })?;
    settle_authorization(work, payment, StepStatus::Succeeded, None).await?;
    if payment.captured > 0 {
        let amount = Money::new(payment.captured, payment.currency);
        let captured = PaymentCaptured { payment_id: payment.id, order_id: order.id, amount };
        work.publish(&captured).await?;
    }
    if order.status == OrderStatus::Pending && charge.authorized >= payment.amount {
        return mark_paid(work, order).await;
    }
    if order.status == OrderStatus::Pending {
        give_up_order(work, order, "payment_too_small").await?;
    }
    give_back(work, payment, "the order had been given up").await
}

/// The order is paid: its stock is sold and its invoice written.
async fn mark_paid(work: &mut UnitOfWork, order: &mut Order) -> Result<(), Failure> {
    InventoryRepository::commit(work, order.id).await?;
    order.status = order.status.step(OrderStatus::Paid)?;
    OrderRepository::record_purchases(work, order).await?;
    subscriptions::order_paid(work, order).await?;
    let total = Money::new(order.total, order.currency);
    let paid = OrderPaid { order_id: order.id, number: order.number, user_id: order.user_id, total };
    work.publish(&paid).await?;
    invoicing::invoice(work, order).await
}

/// The vendor refused.
async fn decline(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    order: &mut Order,
    reason: DeclineReason,
) -> Result<(), Failure> {
    payment.status = payment.status.step(PaymentStatus::Failed)?;
    payment.failure = Some(reason.name().to_owned());
    payment.action_url = None;
    payment.next_attempt_at = None;
    settle_authorization(work, payment, StepStatus::Failed, payment.failure.as_deref()).await?;
    let failed =
        PaymentFailed { payment_id: payment.id, order_id: order.id, reason: reason.name().to_owned() };
    work.publish(&failed).await?;
    give_up_order(work, order, "payment_failed").await
}

/// An open payment comes to nothing.
pub(crate) async fn void(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    order: &mut Order,
    why: &str,
) -> Result<(), Failure> {
    payment.status = payment.status.step(PaymentStatus::Voided)?;
    payment.action_url = None;
    payment.next_attempt_at = None;
    settle_authorization(work, payment, StepStatus::Failed, Some(why)).await?;
    give_up_order(work, order, "payment_voided").await
}

/// An order that is not paid is cancelled, unless that was done before.
async fn give_up_order(work: &mut UnitOfWork, order: &mut Order, reason: &str) -> Result<(), Failure> {
    match order.status {
        OrderStatus::Pending => cancel_order(work, order, reason).await,
        _ => Ok(()),
    }
}

/// An order comes to nothing: its stock and its use of a discount are free again, and so is the cart of one that was
/// not paid.
pub(crate) async fn cancel_order(
    work: &mut UnitOfWork,
    order: &mut Order,
    reason: &str,
) -> Result<(), Failure> {
    let before = order.status;
    order.status = before.step(OrderStatus::Cancelled)?;
    if before == OrderStatus::Pending {
        InventoryRepository::release(work, order.id).await?;
        if let Some(cart) = order.cart_id {
            CartRepository::reopen(work, cart, order.id).await?;
        }
        subscriptions::order_failed(work, order).await?;
    } else {
        restock(work, order).await?;
        OrderRepository::remove_purchases(work, order).await?;
    }
    DiscountRepository::release_use(work, order.id).await?;
    let cancelled = OrderCancelled {
        order_id: order.id,
        number: order.number,
        user_id: order.user_id,
        reason: reason.to_owned(),
    };
    Ok(work.publish(&cancelled).await?)
}

/// An order's goods are on the shelf again.
pub(crate) async fn restock(work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    let lines: Vec<_> = order.lines.iter().map(|line| (line.variant_id, line.quantity)).collect();
    Ok(InventoryRepository::restock(work, &lines).await?)
}

/// Settles the step that asked for the authorization, if it is still open.
async fn settle_authorization(
    work: &mut UnitOfWork,
    payment: &Payment,
    status: StepStatus,
    failure: Option<&str>,
) -> Result<(), Failure> {
    let reference = payment.provider_reference.as_deref();
    Ok(PaymentRepository::settle_authorization(work, payment.id, status, reference, failure).await?)
}
