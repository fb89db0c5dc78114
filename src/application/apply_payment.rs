//! The one way a vendor's word becomes the store's: the answer to a checkout, a webhook, and what the recovery asks
//! for all end here, in any order and any number of times.
//!
//! | the charge is | the payment was pending | it was given up before |
//! | --- | --- | --- |
//! | held or taken | the order is paid, its stock is sold | the money goes back |
//! | declined or let go | the order is cancelled, its stock is free | nothing changes |

use crate::domain::events::{OrderCancelled, OrderPaid, PaymentCaptured, PaymentFailed};
use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{Payment, PaymentStatus, PaymentStep, StepKind, StepStatus};
use crate::domain::ports::{Charge, ChargeStatus, DeclineReason};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{
    CartRepository, DiscountRepository, InventoryRepository, OrderRepository, PaymentRepository, UnitOfWork,
};

use super::invoicing;
use super::place_order::PlacedOrder;
use super::subscriptions;

/// Takes in how a charge stands. Done twice, or late, it changes nothing twice.
pub async fn apply_payment(
    unit_of_work: &mut UnitOfWork,
    payment_id: PaymentId,
    charge: &Charge,
) -> Result<PlacedOrder, Failure> {
    let mut payment = PaymentRepository::lock(unit_of_work, payment_id).await?.ok_or(NotFound::Payment)?;
    let mut order = OrderRepository::lock(unit_of_work, payment.order_id).await?.ok_or(NotFound::Order)?;
    payment.provider_reference.get_or_insert_with(|| charge.reference.clone());
    let open = matches!(payment.status, PaymentStatus::Pending | PaymentStatus::RequiresAction);
    let given_up = matches!(payment.status, PaymentStatus::Failed | PaymentStatus::Voided);
    match &charge.status {
        ChargeStatus::Authorized | ChargeStatus::Captured if open || given_up => {
            accept(unit_of_work, &mut payment, &mut order, charge).await?;
        }
        ChargeStatus::RequiresAction { url } if payment.status == PaymentStatus::Pending => {
            payment.status = payment.status.step(PaymentStatus::RequiresAction)?;
            payment.action_url = Some(url.clone());
        }
        ChargeStatus::Declined(reason) if open => {
            decline(unit_of_work, &mut payment, &mut order, *reason).await?;
        }
        ChargeStatus::Voided if open => {
            payment.status = payment.status.step(PaymentStatus::Voided)?;
            payment.next_attempt_at = None;
            settle_authorization(unit_of_work, &payment, StepStatus::Failed, Some("voided")).await?;
            give_up_order(unit_of_work, &mut order, "payment_voided").await?;
        }
        _ => {}
    }
    PaymentRepository::save_progress(unit_of_work, &payment).await?;
    OrderRepository::save_progress(unit_of_work, &order).await?;
    Ok(PlacedOrder { order, payment })
}

/// The vendor has the money, or holds it.
async fn accept(
    unit_of_work: &mut UnitOfWork,
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
    settle_authorization(unit_of_work, payment, StepStatus::Succeeded, None).await?;
    if payment.captured > 0 {
        let amount = Money::new(payment.captured, payment.currency);
        let captured = PaymentCaptured { payment_id: payment.id, order_id: order.id, amount };
        unit_of_work.publish(&captured).await?;
    }
    if order.status == OrderStatus::Pending && charge.authorized >= payment.amount {
        return mark_paid(unit_of_work, order).await;
    }
    if order.status == OrderStatus::Pending {
        give_up_order(unit_of_work, order, "payment_too_small").await?;
    }
    give_back(unit_of_work, payment, "the order had been given up").await
}

/// The order is paid: its stock is sold and its invoice written.
async fn mark_paid(unit_of_work: &mut UnitOfWork, order: &mut Order) -> Result<(), Failure> {
    InventoryRepository::commit(unit_of_work, order.id).await?;
    order.status = order.status.step(OrderStatus::Paid)?;
    OrderRepository::note_purchases(unit_of_work, order).await?;
    subscriptions::order_paid(unit_of_work, order).await?;
    let total = Money::new(order.total, order.currency);
    let paid = OrderPaid { order_id: order.id, number: order.number, user_id: order.user_id, total };
    unit_of_work.publish(&paid).await?;
    invoicing::invoice(unit_of_work, order).await
}

/// The vendor refused.
async fn decline(
    unit_of_work: &mut UnitOfWork,
    payment: &mut Payment,
    order: &mut Order,
    reason: DeclineReason,
) -> Result<(), Failure> {
    payment.status = payment.status.step(PaymentStatus::Failed)?;
    payment.failure = Some(reason.name().to_owned());
    payment.action_url = None;
    payment.next_attempt_at = None;
    settle_authorization(unit_of_work, payment, StepStatus::Failed, payment.failure.as_deref()).await?;
    let failed =
        PaymentFailed { payment_id: payment.id, order_id: order.id, reason: reason.name().to_owned() };
    unit_of_work.publish(&failed).await?;
    give_up_order(unit_of_work, order, "payment_failed").await
}

/// An order that is not paid comes to nothing: stock and discount are free again, and so is the cart.
pub(super) async fn give_up_order(
    unit_of_work: &mut UnitOfWork,
    order: &mut Order,
    reason: &str,
) -> Result<(), Failure> {
    if order.status != OrderStatus::Pending {
        return Ok(());
    }
    order.status = order.status.step(OrderStatus::Cancelled)?;
    InventoryRepository::release(unit_of_work, order.id).await?;
    DiscountRepository::give_back_use(unit_of_work, order.id).await?;
    CartRepository::reopen(unit_of_work, order.id).await?;
    subscriptions::order_failed(unit_of_work, order).await?;
    let cancelled = OrderCancelled {
        order_id: order.id,
        number: order.number,
        user_id: order.user_id,
        reason: reason.to_owned(),
    };
    Ok(unit_of_work.publish(&cancelled).await?)
}

/// Sets money aside to go back: what is held is let go, what was taken is refunded. The worker sends it at once.
pub(super) async fn give_back(
    unit_of_work: &mut UnitOfWork,
    payment: &mut Payment,
    reason: &str,
) -> Result<(), Failure> {
    let left = payment.captured - payment.refunded - payment.refunding;
    let (kind, amount) = match payment.status {
        PaymentStatus::Authorized => (StepKind::Void, payment.authorized),
        PaymentStatus::Captured if left > 0 => (StepKind::Refund, left),
        _ => return Ok(()),
    };
    if kind == StepKind::Refund {
        payment.refunding += amount;
    }
    payment.next_attempt_at = Some(unit_of_work.now());
    let step = PaymentStep {
        id: unit_of_work.id(),
        payment_id: payment.id,
        kind,
        status: StepStatus::Pending,
        amount,
        reason: Some(reason.to_owned()),
        failure: None,
        provider_reference: None,
        created_at: unit_of_work.now(),
        settled_at: None,
    };
    Ok(unit_of_work.insert(&step).await?)
}

/// Settles the step that asked for the authorization, if it is still open.
async fn settle_authorization(
    unit_of_work: &mut UnitOfWork,
    payment: &Payment,
    status: StepStatus,
    failure: Option<&str>,
) -> Result<(), Failure> {
    let reference = payment.provider_reference.as_deref();
    Ok(PaymentRepository::settle_authorization(unit_of_work, payment.id, status, reference, failure).await?)
}
