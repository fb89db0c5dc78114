//! Subscriptions: begun and extended by orders that are paid, changed by their subscribers, ended with the money that
//! goes back. [`renewals`](super::renewals) charges them.

use jiff::Timestamp;

use crate::domain::events::SubscriptionChanged;
use crate::domain::ids::{OrderId, SubscriptionId, UserId};
use crate::domain::order::{Order, OrderLine};
use crate::domain::payment::{PaymentStep, StepKind};
use crate::domain::product::ProductKind;
use crate::domain::state::State;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::infrastructure::exceptions::{Failure, NotFound, SubscriptionExpiredException};
use crate::infrastructure::repositories::{
    CartRepository, PaymentRepository, SubscriptionRepository, UnitOfWork,
};

use super::renewals::{charge_failed, period_end};
use crate::application::payments::settlement::set_aside;
use crate::application::selling::orders;

/// An order is paid: it begins the subscriptions among its lines, or extends the one it charges.
pub(crate) async fn order_paid(work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    if let Some(id) = order.subscription_id {
        return extend(work, id, order).await;
    }
    let Some(user_id) = order.user_id else { return Ok(()) };
    for line in order.lines.iter().filter(|line| line.kind == ProductKind::Subscription) {
        begin(work, user_id, order, line).await?;
    }
    Ok(())
}

async fn begin(
    work: &mut UnitOfWork,
    user_id: UserId,
    order: &Order,
    line: &OrderLine,
) -> Result<(), Failure> {
    let offers = CartRepository(work).offers(&[line.variant_id]).await?;
    let Some(interval) = offers.first().and_then(|offer| offer.billing_interval) else { return Ok(()) };
    let payment = PaymentRepository(work).by_order(order.id).await?.ok_or(NotFound::Payment)?;
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
        shipping_address: order.shipping_address.clone(),
        provider: payment.provider,
        token: payment.token,
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
    changed(work, &subscription).await
}

async fn extend(work: &mut UnitOfWork, id: SubscriptionId, order: &Order) -> Result<(), Failure> {
    let periods = SubscriptionRepository(work).periods_of(order.id).await?;
    let period = periods.first().ok_or(NotFound::Subscription)?;
    if !SubscriptionRepository::settle_period(work, order.id, PeriodStatus::Paid).await? {
        return Ok(());
    }
    let mut subscription = SubscriptionRepository::lock(work, id).await?.ok_or(NotFound::Subscription)?;
    if period.starts_at > subscription.paid_until {
        // It did not follow on the last one: periods are counted from here on.
        subscription.anchor_at = period.starts_at;
    }
    subscription.period = period.period;
    subscription.paid_until = period.ends_at;
    subscription.failed_attempts = 0;
    if subscription.status == SubscriptionStatus::PastDue {
        subscription.status = subscription.status.step(SubscriptionStatus::Active)?;
    }
    subscription.next_charge_at = Some(period.ends_at);
    save(work, &mut subscription).await
}

/// The charge of a period failed, if the order was one and nobody gave it up before.
pub(crate) async fn order_failed(work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    let Some(id) = order.subscription_id else { return Ok(()) };
    if !SubscriptionRepository::settle_period(work, order.id, PeriodStatus::Failed).await? {
        return Ok(());
    }
    let mut subscription = SubscriptionRepository::lock(work, id).await?.ok_or(NotFound::Subscription)?;
    if is_over(&subscription) {
        return Ok(());
    }
    charge_failed(work, &mut subscription).await
}

/// An order is cancelled, or all of its money goes back: the subscriptions that it was the last charge of end with it.
pub(crate) async fn order_reversed(work: &mut UnitOfWork, order_id: OrderId) -> Result<(), Failure> {
    let mut periods = SubscriptionRepository(work).periods_of(order_id).await?;
    periods.retain(|period| period.status != PeriodStatus::Failed);
    for period in periods {
        let id = period.subscription_id;
        let mut subscription = SubscriptionRepository::lock(work, id).await?.ok_or(NotFound::Subscription)?;
        if period.period < subscription.period {
            continue;
        }
        subscription.paid_until = subscription.paid_until.min(work.now());
        if is_over(&subscription) {
            work.update(&mut subscription).await?;
            continue;
        }
        if period.status == PeriodStatus::Paid {
            give_up_charge(work, id).await?;
        }
        end(work, &mut subscription).await?;
    }
    Ok(())
}

/// Charges nothing more until it is resumed; what is paid stays paid. A charge that is under way is given up.
pub async fn pause(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = take(work, id).await?;
    subscription.status = subscription.status.step(SubscriptionStatus::Paused)?;
    subscription.next_charge_at = None;
    give_up_charge(work, id).await?;
    save(work, &mut subscription).await?;
    Ok(subscription)
}

/// Charges again: at the end of what is paid, or at once if that is over, or if the last charge failed.
pub async fn resume(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = take(work, id).await?;
    let now = work.now();
    if subscription.status == SubscriptionStatus::PastDue {
        // While a charge is under way there is no next one.
        subscription.next_charge_at = subscription.next_charge_at.map(|at| at.min(now));
        work.update(&mut subscription).await?;
        return Ok(subscription);
    }
    subscription.status = subscription.status.step(SubscriptionStatus::Active)?;
    if subscription.paid_until < now {
        // Nobody pays for the time it was paused: its periods are counted from here on.
        subscription.anchor_at = now;
        subscription.paid_until = now;
    }
    subscription.next_charge_at = Some(subscription.paid_until);
    save(work, &mut subscription).await?;
    Ok(subscription)
}

/// Charges nothing more, for good; what is paid stays paid. A charge that is under way is given up.
pub async fn cancel(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = take(work, id).await?;
    give_up_charge(work, id).await?;
    end(work, &mut subscription).await?;
    Ok(subscription)
}

/// Ends at once: the share of the last charge that pays for the time after now goes back.
pub async fn cancel_and_refund(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let mut subscription = take(work, id).await?;
    give_up_charge(work, id).await?;
    refund_rest(work, &subscription).await?;
    subscription.paid_until = subscription.paid_until.min(work.now());
    end(work, &mut subscription).await?;
    Ok(subscription)
}

/// Takes a subscription for a step; one that expired has none left.
async fn take(work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    let subscription = SubscriptionRepository::lock(work, id).await?.ok_or(NotFound::Subscription)?;
    if subscription.status == SubscriptionStatus::Expired {
        return Err(SubscriptionExpiredException { ended_at: subscription.paid_until }.into());
    }
    Ok(subscription)
}

/// Gives up the charge that is under way, if there is one; money that comes all the same goes back by itself.
async fn give_up_charge(work: &mut UnitOfWork, id: SubscriptionId) -> Result<(), Failure> {
    let periods = SubscriptionRepository(work).periods(id).await?;
    let Some(period) = periods.iter().find(|period| period.status == PeriodStatus::Charging) else {
        return Ok(());
    };
    if SubscriptionRepository::settle_period(work, period.order_id, PeriodStatus::Failed).await? {
        // boxed: to cancel an order ends what it paid for, which may have to give up a charge
        Box::pin(orders::cancel(work, period.order_id)).await?;
    }
    Ok(())
}

async fn end(work: &mut UnitOfWork, subscription: &mut Subscription) -> Result<(), Failure> {
    subscription.status = subscription.status.step(SubscriptionStatus::Cancelled)?;
    subscription.next_charge_at = None;
    save(work, subscription).await
}

fn is_over(subscription: &Subscription) -> bool {
    subscription.status.successors().is_empty()
}

/// Sets aside what of the subscription's own line pays for the time after now. The worker sends it at once.
async fn refund_rest(work: &mut UnitOfWork, subscription: &Subscription) -> Result<(), Failure> {
    let now = work.now();
    let periods = SubscriptionRepository(work).periods(subscription.id).await?;
    let Some(period) = periods.iter().rev().find(|period| period.status == PeriodStatus::Paid) else {
        return Ok(());
    };
    let order: Order = work.find(period.order_id).await?.ok_or(NotFound::Order)?;
    let payment = PaymentRepository(work).by_order(order.id).await?.ok_or(NotFound::Payment)?;
    let mut payment = PaymentRepository::lock(work, payment.id).await?.ok_or(NotFound::Payment)?;
    let own = order.lines.iter().find(|line| line.variant_id == subscription.variant_id);
    let rest = own.map_or(0, |line| prorated(line.total, period, now));
    let amount = rest.min(payment.left(StepKind::Refund));
    if amount == 0 {
        return Ok(());
    }
    let step = PaymentStep {
        reason: Some("the subscription ended early".into()),
        ..PaymentStep::asked(work.id(), payment.id, StepKind::Refund, amount, now)
    };
    set_aside(work, &mut payment, &step, now).await?;
    Ok(PaymentRepository::save_progress(work, &payment).await?)
}

/// The share of a period's price, in minor units, that pays for the time after `now`; rounded down.
fn prorated(price: i64, period: &SubscriptionPeriod, now: Timestamp) -> i64 {
    let whole = i128::from(period.ends_at.as_microsecond() - period.starts_at.as_microsecond()).max(1);
    let left = i128::from(period.ends_at.as_microsecond() - now.as_microsecond()).clamp(0, whole);
    i64::try_from(i128::from(price) * left / whole).unwrap_or(0)
}

/// Writes a change down and publishes it.
pub(crate) async fn save(work: &mut UnitOfWork, subscription: &mut Subscription) -> Result<(), Failure> {
    work.update(subscription).await?;
    changed(work, subscription).await
}

async fn changed(work: &mut UnitOfWork, subscription: &Subscription) -> Result<(), Failure> {
    let event = SubscriptionChanged {
        subscription_id: subscription.id,
        user_id: subscription.user_id,
        status: subscription.status.name().to_owned(),
    };
    Ok(work.publish(&event).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrderId;
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
        let at = |text: &str| prorated(3000, &period, text.parse().unwrap());
        assert_eq!(at("2026-01-01T00:00:00Z"), 3000);
        assert_eq!(at("2026-01-16T00:00:00Z"), 1500);
        assert_eq!(at("2026-01-31T00:00:00Z"), 0);
        assert_eq!(at("2026-03-01T00:00:00Z"), 0);
        assert_eq!(at("2025-12-01T00:00:00Z"), 3000);
    }
}
