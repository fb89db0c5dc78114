//! The periods of a subscription: paid and failed by the orders that charge them, ended with the order that paid them.
//!
//! The functions lock the subscription after the payment and the order.

use jiff::{SignedDuration, Timestamp};

use crate::domain::events::SubscriptionChanged;
use crate::domain::ids::{OrderId, SubscriptionId, UserId};
use crate::domain::order::{Order, OrderLine};
use crate::domain::payment::Payment;
use crate::domain::product::BillingInterval;
use crate::domain::state::State;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::infrastructure::repositories::{SubscriptionRepository, UnitOfWork};

/// The waits before a failed charge is retried, by the number of failures before. The failure after the last wait
/// expires the subscription.
const DUNNING: [SignedDuration; 3] =
    [SignedDuration::from_hours(24), SignedDuration::from_hours(3 * 24), SignedDuration::from_hours(5 * 24)];

/// The wait before a charge that the store or a vendor could not make is retried.
const RETRY: SignedDuration = SignedDuration::from_mins(10);

/// Locks a subscription.
pub(crate) async fn lock(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    Ok(work.lock(id).await?.ok_or(NotFound::Subscription)?)
}

/// Begins the subscriptions among the lines of a paid order, or extends the one that the order charges.
pub(crate) async fn pay(work: &mut UnitOfWork, order: &Order, payment: &Payment) -> Result<(), Failure> {
    if let Some(id) = order.subscription_id {
        return extend(work, id, order).await;
    }
    let Some(user_id) = order.user_id else { return Ok(()) };
    for line in &order.lines {
        if let Some(interval) = line.billing_interval {
            begin(work, user_id, order, line, interval, payment).await?;
        }
    }
    Ok(())
}

async fn begin(
    work: &mut UnitOfWork,
    user_id: UserId,
    order: &Order,
    line: &OrderLine,
    interval: BillingInterval,
    payment: &Payment,
) -> Result<(), Failure> {
    let now = work.now();
    let paid_until = period_end(interval, now, now)?;
    let subscription = Subscription {
        id: work.id(),
        user_id,
        product_id: line.product_id,
        variant_id: line.variant_id,
        quantity: line.quantity,
        status: SubscriptionStatus::Active,
        interval,
        currency: order.currency,
        unit_price: line.unit_price,
        shipping_method: order.shipping_method.clone(),
        shipping_address: order.shipping_address.clone(),
        billing_address: order.billing_address.clone(),
        provider: payment.provider.clone(),
        token: payment.token.clone(),
        period: 1,
        anchor_at: now,
        paid_until,
        next_charge_at: Some(paid_until),
        failed_attempts: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    work.insert(&subscription).await?;
    let period = SubscriptionPeriod {
        subscription_id: subscription.id,
        period: 1,
        order_id: order.id,
        status: PeriodStatus::Paid,
        starts_at: now,
        ends_at: paid_until,
    };
    work.insert(&period).await?;
    publish(work, &subscription).await
}

async fn extend(work: &mut UnitOfWork, id: SubscriptionId, order: &Order) -> Result<(), Failure> {
    let periods = SubscriptionRepository(work).periods_of(order.id).await?;
    let period = periods.first().ok_or(NotFound::Subscription)?;
    if !SubscriptionRepository::conclude_period(work, order.id, PeriodStatus::Paid).await? {
        return Ok(());
    }
    let mut subscription = lock(work, id).await?;
    if period.starts_at > subscription.paid_until {
        // the period does not follow the last one: periods are counted from its start
        subscription.anchor_at = period.starts_at;
    }
    subscription.period = period.period;
    subscription.paid_until = period.ends_at;
    subscription.failed_attempts = 0;
    if subscription.status == SubscriptionStatus::PastDue {
        subscription.status = subscription.status.transition_to(SubscriptionStatus::Active)?;
    }
    subscription.next_charge_at = Some(period.ends_at);
    save(work, &mut subscription).await
}

/// Counts the charge of a period by an order as failed, unless it was cancelled before.
pub(crate) async fn fail(work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    match fail_period(work, order).await? {
        Some(mut subscription) => fail_charge(work, &mut subscription).await,
        None => Ok(()),
    }
}

/// Postpones the charge of a period by an order, unless it was cancelled before. It does not count as failed.
pub(crate) async fn postpone(work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    match fail_period(work, order).await? {
        Some(mut subscription) => postpone_charge(work, &mut subscription).await,
        None => Ok(()),
    }
}

/// Marks the period that an order charges as failed, so that it can be charged again. Returns the subscription, which
/// is locked; `None` if the charge was cancelled before or the subscription is over.
async fn fail_period(work: &mut UnitOfWork, order: &Order) -> Result<Option<Subscription>, Failure> {
    let Some(id) = order.subscription_id else { return Ok(None) };
    if !SubscriptionRepository::conclude_period(work, order.id, PeriodStatus::Failed).await? {
        return Ok(None);
    }
    let subscription = lock(work, id).await?;
    Ok(if is_over(&subscription) { None } else { Some(subscription) })
}

/// Postpones the charge of a locked subscription. It does not count as failed.
pub(crate) async fn postpone_charge(
    work: &mut UnitOfWork,
    subscription: &mut Subscription,
) -> Result<(), Failure> {
    subscription.next_charge_at = Some(later(work.now(), RETRY));
    work.save(subscription).await?;
    Ok(())
}

/// Counts a failed charge: it is retried later, and the subscription expires after the last retry.
pub(crate) async fn fail_charge(
    work: &mut UnitOfWork,
    subscription: &mut Subscription,
) -> Result<(), Failure> {
    if subscription.status == SubscriptionStatus::Active {
        subscription.status = subscription.status.transition_to(SubscriptionStatus::PastDue)?;
    }
    let wait = usize::try_from(subscription.failed_attempts).ok().and_then(|failed| DUNNING.get(failed));
    subscription.failed_attempts += 1;
    subscription.next_charge_at = wait.map(|&wait| later(work.now(), wait));
    if wait.is_none() {
        subscription.status = subscription.status.transition_to(SubscriptionStatus::Expired)?;
    }
    save(work, subscription).await
}

/// Ends the subscriptions whose last period a cancelled or refunded order charged. Returns the orders that charge their
/// next period; the caller cancels them.
pub(crate) async fn end_by_order(work: &mut UnitOfWork, order_id: OrderId) -> Result<Vec<OrderId>, Failure> {
    let mut charges = Vec::new();
    let mut periods = SubscriptionRepository(work).periods_of(order_id).await?;
    periods.retain(|period| period.status != PeriodStatus::Failed);
    for period in periods {
        let mut subscription = lock(work, period.subscription_id).await?;
        if period.period < subscription.period {
            continue;
        }
        subscription.paid_until = subscription.paid_until.min(work.now());
        if is_over(&subscription) {
            work.save(&mut subscription).await?;
            continue;
        }
        if period.status == PeriodStatus::Paid {
            charges.extend(fail_open_charge(work, subscription.id).await?);
        }
        end(work, &mut subscription).await?;
    }
    Ok(charges)
}

/// Marks the period that is being charged as failed, if there is one. Returns the order that charges it; the caller
/// cancels the order, which refunds its payment if it is captured nevertheless.
pub(crate) async fn fail_open_charge(
    work: &mut UnitOfWork,
    id: SubscriptionId,
) -> Result<Option<OrderId>, Failure> {
    let periods = SubscriptionRepository(work).periods(id).await?;
    let Some(period) = periods.iter().find(|period| period.status == PeriodStatus::Charging) else {
        return Ok(None);
    };
    let failed = SubscriptionRepository::conclude_period(work, period.order_id, PeriodStatus::Failed).await?;
    Ok(failed.then_some(period.order_id))
}

/// Cancels a locked subscription.
pub(crate) async fn end(work: &mut UnitOfWork, subscription: &mut Subscription) -> Result<(), Failure> {
    subscription.status = subscription.status.transition_to(SubscriptionStatus::Cancelled)?;
    subscription.next_charge_at = None;
    save(work, subscription).await
}

fn is_over(subscription: &Subscription) -> bool {
    subscription.status.successors().is_empty()
}

/// Saves a locked subscription and publishes the change.
pub(crate) async fn save(work: &mut UnitOfWork, subscription: &mut Subscription) -> Result<(), Failure> {
    work.save(subscription).await?;
    publish(work, subscription).await
}

async fn publish(work: &mut UnitOfWork, subscription: &Subscription) -> Result<(), Failure> {
    let event = SubscriptionChanged {
        subscription_id: subscription.id,
        user_id: subscription.user_id,
        status: subscription.status.name().to_owned(),
    };
    Ok(work.publish(&event).await?)
}

/// Returns the end of the period that begins at `start`: the first multiple of the interval after `anchor` that is
/// later.
pub(crate) fn period_end(
    interval: BillingInterval,
    anchor: Timestamp,
    start: Timestamp,
) -> Result<Timestamp, Failure> {
    for periods in 1.. {
        let end = interval.after(anchor, periods).map_err(Technical::internal)?;
        if end > start {
            return Ok(end);
        }
    }
    Ok(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_from_the_31st_ends_on_the_last_day_and_the_next_one_on_the_31st() {
        let anchor = "2026-01-31T10:00:00Z".parse().unwrap();
        let first = period_end(BillingInterval::Month, anchor, anchor).unwrap();
        let second = period_end(BillingInterval::Month, anchor, first).unwrap();
        assert_eq!(first.to_string(), "2026-02-28T10:00:00Z");
        assert_eq!(second.to_string(), "2026-03-31T10:00:00Z");
    }
}
