//! Changes of a subscription by its customer or an administrator: pause, resume, cancel.
//! [`renewals`](super::renewals) charges it.

use jiff::Timestamp;

use crate::domain::ids::{OrderId, SubscriptionId, UserId};
use crate::domain::money::Money;
use crate::domain::payment::{OperationKind, Payment, PaymentOperation};
use crate::domain::permission::Permissions;
use crate::domain::state::State;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::infrastructure::exceptions::{
    Conflict, Failure, NotFound, OrderProcessingException, SubscriptionExpiredException, Technical,
};
use crate::infrastructure::repositories::{StoredResponse, SubscriptionRepository, UnitOfWork};

use crate::application::Store;
use crate::application::idempotency::{Responder, once};
use crate::application::payments::apply_payment::{begin_operation, cancel_order, check_refunds};
use crate::application::payments::gateway_calls::send_due;
use crate::application::payments::placed_orders;
use crate::application::payments::subscription_periods::{self as periods, end, fail_open_charge, save};

/// A change of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// The subscription is not charged until it is resumed. A pending charge is cancelled.
    Pause,
    /// A paused subscription is charged again at the end of the paid time, and one that is past due immediately.
    Resume,
    /// The subscription ends. Paid periods are not refunded. A pending charge is cancelled.
    Cancel,
    /// The subscription ends, and the share of its last charge that pays for the time from now on is refunded. Refused
    /// with an [`OrderProcessingException`] while less than that is captured and more can be, and unless these
    /// permissions, those of the administrator, include refunds.
    CancelAndRefund(Permissions),
}

/// Changes a subscription, once for each idempotency key; if `owner` is given, only a subscription of this user.
pub async fn change_once(
    store: &Store,
    id: SubscriptionId,
    owner: Option<UserId>,
    change: SubscriptionChange,
    responder: Responder<Subscription>,
) -> Result<StoredResponse, Failure> {
    let since = store.now();
    let response = once(store, responder, (id, owner, change), async |work, &(id, owner, change)| {
        check_owner(work, id, owner).await?;
        match change {
            SubscriptionChange::Pause => pause(work, id).await,
            SubscriptionChange::Resume => resume(work, id).await,
            SubscriptionChange::Cancel => cancel(work, id).await,
            SubscriptionChange::CancelAndRefund(permissions) => {
                cancel_and_refund(work, id, permissions).await
            }
        }
    })
    .await?;
    send_due(store, since).await;
    Ok(response)
}

/// Fails as for a subscription that does not exist if it is not a subscription of `owner`.
async fn check_owner(
    work: &mut UnitOfWork,
    id: SubscriptionId,
    owner: Option<UserId>,
) -> Result<(), Failure> {
    let Some(owner) = owner else { return Ok(()) };
    let found: Option<Subscription> = work.find(id).await?;
    let is_own = found.is_some_and(|subscription| subscription.user_id == owner);
    if is_own { Ok(()) } else { Err(NotFound::Subscription.into()) }
}

/// Pauses a subscription: it is not charged until it is resumed. Paid periods are not refunded. A pending charge is
/// cancelled.
async fn pause(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = lock_with_charges(work, id).await?;
    subscription.status = subscription.status.transition_to(SubscriptionStatus::Paused)?;
    subscription.next_charge_at = None;
    cancel_open_charge(work, id).await?;
    save(work, &mut subscription).await?;
    Ok(subscription)
}

/// Resumes a subscription: it is charged at the end of the paid time, or immediately if that has passed or the last
/// charge failed.
async fn resume(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = lock(work, id).await?;
    let now = work.now();
    if subscription.status == SubscriptionStatus::PastDue {
        // a pending charge stays the next one
        subscription.next_charge_at = subscription.next_charge_at.map(|at| at.min(now));
        work.save(&mut subscription).await?;
        return Ok(subscription);
    }
    subscription.status = subscription.status.transition_to(SubscriptionStatus::Active)?;
    if subscription.paid_until < now {
        // the time of the pause is not charged: periods are counted from now
        subscription.anchor_at = now;
        subscription.paid_until = now;
    }
    subscription.next_charge_at = Some(subscription.paid_until);
    save(work, &mut subscription).await?;
    Ok(subscription)
}

/// Cancels a subscription: it is not charged any more. Paid periods are not refunded. A pending charge
/// is cancelled.
async fn cancel(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = lock_with_charges(work, id).await?;
    cancel_open_charge(work, id).await?;
    end(work, &mut subscription).await?;
    Ok(subscription)
}

/// Cancels a subscription immediately, and refunds the share of its last charge that pays for the time from now on.
async fn cancel_and_refund(
    work: &mut UnitOfWork,
    id: SubscriptionId,
    permissions: Permissions,
) -> Result<Subscription, Failure> {
    check_refunds(permissions)?;
    let mut subscription = lock_with_charges(work, id).await?;
    cancel_open_charge(work, id).await?;
    refund_rest(work, &subscription).await?;
    subscription.paid_until = subscription.paid_until.min(work.now());
    end(work, &mut subscription).await?;
    Ok(subscription)
}

/// Locks the orders that charged the last paid period and charge the next one, and then their subscription.
///
/// # Errors
///
/// [`Conflict::Stale`] if another order began to charge the subscription after the orders to lock were read.
async fn lock_with_charges(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let charges = charges(work, id).await?;
    for &order_id in &charges {
        placed_orders::lock(work, order_id).await?;
    }

    let subscription = lock(work, id).await?;
    let current = self::charges(work, id).await?;
    if current.iter().all(|order_id| charges.contains(order_id)) {
        Ok(subscription)
    } else {
        Err(Conflict::Stale.into())
    }
}

/// Returns the orders of the last paid period and of the period that is being charged, by their ids.
async fn charges(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Vec<OrderId>, Failure> {
    let periods = SubscriptionRepository(work).periods(id).await?;
    let paid = periods.iter().rev().find(|period| period.status == PeriodStatus::Paid);
    let charging = periods.iter().filter(|period| period.status == PeriodStatus::Charging);
    let mut orders: Vec<_> = paid.into_iter().chain(charging).map(|period| period.order_id).collect();
    orders.sort();
    Ok(orders)
}

/// Locks a subscription that has not expired.
async fn lock(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let subscription = periods::lock(work, id).await?;
    if subscription.status == SubscriptionStatus::Expired {
        return Err(SubscriptionExpiredException { ended_at: subscription.paid_until }.into());
    }
    Ok(subscription)
}

/// Cancels the order that charges the next period, if there is one.
async fn cancel_open_charge(work: &mut UnitOfWork, id: SubscriptionId) -> Result<(), Failure> {
    if let Some(order_id) = fail_open_charge(work, id).await? {
        cancel_order(work, order_id, Permissions::ALL).await?;
    }
    Ok(())
}

/// Begins the refund of the share of the last charge that pays for the time from now on. Only the subscription's own
/// line is refunded.
async fn refund_rest(work: &mut UnitOfWork, subscription: &Subscription) -> Result<(), Failure> {
    let now = work.now();
    let periods = SubscriptionRepository(work).periods(subscription.id).await?;
    let Some(period) = periods.iter().rev().find(|period| period.status == PeriodStatus::Paid) else {
        return Ok(());
    };
    let mut charge = placed_orders::lock(work, period.order_id).await?;
    let line = charge.order.lines.iter().find(|line| line.variant_id == subscription.variant_id);
    let Some(line) = line else { return Ok(()) };
    let amount = refundable(&charge.payment, prorated(line.total, period, now))?;
    if amount.is_zero() {
        return Ok(());
    }
    let refund = PaymentOperation {
        reason: Some("the subscription ended early".into()),
        ..PaymentOperation::pending(work.id(), charge.payment.id, OperationKind::Refund, amount, now)
    };
    begin_operation(work, &mut charge.payment, &refund, now).await
}

/// Returns what can be refunded of an amount.
///
/// # Errors
///
/// [`OrderProcessingException`] if that is less than the amount, and what is authorized or being captured can be
/// charged afterwards.
fn refundable(payment: &Payment, amount: Money) -> Result<Money, Failure> {
    let captured = payment.left(OperationKind::Refund).map_err(Technical::internal)?;
    let refundable = amount.min(captured).map_err(Technical::internal)?;
    let authorized = payment.left(OperationKind::Capture).map_err(Technical::internal)?;
    if refundable == amount {
        Ok(amount)
    } else if payment.capturing.is_positive() {
        Err(OrderProcessingException::InProgress.into())
    } else if authorized.is_positive() {
        let from = payment.status.name();
        Err(OrderProcessingException::Forbidden { what: "payment", from, to: "refunded" }.into())
    } else {
        Ok(refundable)
    }
}

/// Returns the share of a period's price that pays for the time after `now`; rounded down.
fn prorated(price: Money, period: &SubscriptionPeriod, now: Timestamp) -> Money {
    let whole = i128::from(period.ends_at.as_microsecond() - period.starts_at.as_microsecond()).max(1);
    let left = i128::from(period.ends_at.as_microsecond() - now.as_microsecond()).clamp(0, whole);
    let share = i64::try_from(i128::from(price.amount) * left / whole).unwrap_or(0);
    Money::new(share, price.currency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use uuid::Uuid;

    #[test]
    fn the_share_of_what_is_left_is_exact_and_never_more_than_all() {
        let period = SubscriptionPeriod {
            subscription_id: SubscriptionId(Uuid::nil()),
            period: 1,
            order_id: OrderId(Uuid::nil()),
            status: PeriodStatus::Paid,
            starts_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            ends_at: "2026-01-31T00:00:00Z".parse().unwrap(),
        };
        let at =
            |text: &str| prorated(Money::new(3000, Currency::EUR), &period, text.parse().unwrap()).amount;
        assert_eq!(at("2026-01-01T00:00:00Z"), 3000);
        assert_eq!(at("2026-01-16T00:00:00Z"), 1500);
        assert_eq!(at("2026-01-31T00:00:00Z"), 0);
        assert_eq!(at("2026-03-01T00:00:00Z"), 0);
        assert_eq!(at("2025-12-01T00:00:00Z"), 3000);
    }
}
