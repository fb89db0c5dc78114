//! Subscriptions: begun by an order that is paid, charged once a period, tried again a few times when a charge fails.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::domain::events::SubscriptionChanged;
use crate::domain::ids::{SubscriptionId, UserId};
use crate::domain::order::{Order, OrderLine};
use crate::domain::payment::{Payment, StepKind};
use crate::domain::product::{BillingInterval, ProductKind};
use crate::domain::state::State;
use crate::domain::subscription::{
    MAX_CHARGE_ATTEMPTS, PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus,
};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Failure, NotFound, ProductOutOfStockException, ValidationException};
use crate::infrastructure::repositories::{
    CartRepository, PaymentRepository, SubscriptionRepository, UnitOfWork,
};

use super::Store;
use super::idempotency::later;
use super::orders::{MoneyMove, MovedMoney, move_money};
use super::payments::{authorize, take_in};
use super::place_order::{OrderDraft, place_order};
use super::quote::{QuoteLine, ShippingChoice};

/// Subscriptions charged in one round.
const ROUND: i64 = 100;
/// How long to wait before a charge that failed is tried again, by the number of failures.
const DUNNING: [SignedDuration; 4] = [
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(3 * 24),
    SignedDuration::from_hours(5 * 24),
    SignedDuration::from_hours(7 * 24),
];

/// Charges the subscriptions that are due by `by`; how many were charged. One that fails does not keep the others
/// waiting.
pub async fn renew_subscriptions(store: &Store, by: Timestamp) -> Result<usize, Failure> {
    let due = SubscriptionRepository(&mut store.database().read().await?).due(by, ROUND).await?;
    let mut charged = 0;
    for id in due {
        match renew(store, id).await {
            Ok(true) => charged += 1,
            Ok(false) => {}
            Err(failure) => {
                tracing::warn!(subscription = %id, %failure, "the subscription could not be charged yet");
            }
        }
    }
    Ok(charged)
}

/// Charges the next period of a subscription, if it is due and nobody else does; whether this call did.
pub async fn renew(store: &Store, id: SubscriptionId) -> Result<bool, Failure> {
    let at = store.clone();
    let placed = store
        .database()
        .write(move |unit_of_work| {
            let store = at.clone();
            Box::pin(async move { place_renewal(unit_of_work, &store, id).await })
        })
        .await;
    let payment = match placed {
        Ok(Some(payment)) => payment,
        Ok(None) => return Ok(false),
        Err(failure) if failure.is::<ProductOutOfStockException>() || failure.is::<ValidationException>() => {
            put_off(store, id).await?;
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    if let Some(charge) = authorize(store, &payment).await? {
        take_in(store, payment.id, charge).await?;
    }
    Ok(true)
}

/// Takes the right to charge the period and places its order.
async fn place_renewal(
    unit_of_work: &mut UnitOfWork,
    store: &Store,
    id: SubscriptionId,
) -> Result<Option<Payment>, Failure> {
    let subscription = SubscriptionRepository::lock(unit_of_work, id).await?.ok_or(NotFound::Subscription)?;
    let now = unit_of_work.now();
    let due = subscription.next_charge_at.is_some_and(|at| at <= now);
    if !due || !matches!(subscription.status, SubscriptionStatus::Active | SubscriptionStatus::PastDue) {
        return Ok(None);
    }
    let starts_at = subscription.paid_until;
    let period = SubscriptionPeriod {
        subscription_id: id,
        period: subscription.period + 1,
        order_id: unit_of_work.id(),
        status: PeriodStatus::Charging,
        starts_at,
        ends_at: period_end(subscription.interval, subscription.anchor_at, starts_at)?,
    };
    if !SubscriptionRepository::claim_period(unit_of_work, &period).await? {
        return Ok(None);
    }
    let user: User = unit_of_work.find(subscription.user_id).await?.ok_or(NotFound::Subscription)?;
    let draft = OrderDraft {
        id: period.order_id,
        payment_id: unit_of_work.id(),
        user_id: Some(user.id),
        age: user.age_on(now.to_zoned(jiff::tz::TimeZone::UTC).date()),
        email: user.email,
        cart_id: None,
        subscription_id: Some(id),
        currency: subscription.currency,
        lines: vec![QuoteLine {
            variant_id: subscription.variant_id,
            quantity: subscription.quantity,
            agreed_price: None,
        }],
        discount_code: None,
        shipping: ShippingChoice::Cheapest,
        billing_address: subscription.shipping_address.clone(),
        shipping_address: subscription.shipping_address,
        provider: subscription.provider,
        token: subscription.token,
    };
    let placed = place_order(unit_of_work, &store.policy, &draft).await?;
    // Until the charge is settled nothing is due; settling it says what is next.
    SubscriptionRepository::schedule(unit_of_work, id, None).await?;
    Ok(Some(placed.payment))
}

/// Tries a renewal that cannot be placed (sold out, not for sale) again tomorrow.
async fn put_off(store: &Store, id: SubscriptionId) -> Result<(), Failure> {
    store
        .database()
        .write(move |unit_of_work| {
            Box::pin(async move {
                let next = later(unit_of_work.now(), DUNNING[0]);
                Ok(SubscriptionRepository::schedule(unit_of_work, id, Some(next)).await?)
            })
        })
        .await
}

/// The end of the period that begins at `start`: the first of the anchor's steps after it.
fn period_end(interval: BillingInterval, anchor: Timestamp, start: Timestamp) -> Result<Timestamp, Failure> {
    for periods in 1.. {
        let end = interval
            .after(anchor, periods)
            .map_err(crate::infrastructure::exceptions::Technical::internal)?;
        if end > start {
            return Ok(end);
        }
    }
    Ok(Timestamp::MAX)
}

/// An order is paid: it begins the subscriptions among its lines, or extends the one it charges.
pub(super) async fn order_paid(unit_of_work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    if let Some(id) = order.subscription_id {
        return extend(unit_of_work, id, order).await;
    }
    let Some(user_id) = order.user_id else { return Ok(()) };
    for line in order.lines.iter().filter(|line| line.kind == ProductKind::Subscription) {
        begin(unit_of_work, user_id, order, line).await?;
    }
    Ok(())
}

async fn begin(
    unit_of_work: &mut UnitOfWork,
    user_id: UserId,
    order: &Order,
    line: &OrderLine,
) -> Result<(), Failure> {
    let offers = CartRepository(unit_of_work).offers(&[line.variant_id]).await?;
    let Some(interval) = offers.first().and_then(|offer| offer.billing_interval) else { return Ok(()) };
    let payment = PaymentRepository(unit_of_work).by_order(order.id).await?.ok_or(NotFound::Payment)?;
    let now = unit_of_work.now();
    let paid_until = period_end(interval, now, now)?;
    let subscription = Subscription {
        id: unit_of_work.id(),
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
    unit_of_work.insert(&subscription).await?;
    let period = SubscriptionPeriod {
        subscription_id: subscription.id,
        period: 1,
        order_id: order.id,
        status: PeriodStatus::Paid,
        starts_at: now,
        ends_at: paid_until,
    };
    unit_of_work.insert(&period).await?;
    changed(unit_of_work, &subscription).await
}

async fn extend(unit_of_work: &mut UnitOfWork, id: SubscriptionId, order: &Order) -> Result<(), Failure> {
    let period =
        SubscriptionRepository(unit_of_work).period_of(order.id).await?.ok_or(NotFound::Subscription)?;
    if !SubscriptionRepository::settle_period(unit_of_work, order.id, PeriodStatus::Paid).await? {
        return Ok(());
    }
    let mut subscription =
        SubscriptionRepository::lock(unit_of_work, id).await?.ok_or(NotFound::Subscription)?;
    subscription.period = period.period;
    subscription.paid_until = period.ends_at;
    subscription.failed_attempts = 0;
    if subscription.status == SubscriptionStatus::PastDue {
        subscription.status = subscription.status.step(SubscriptionStatus::Active)?;
    }
    let active = subscription.status == SubscriptionStatus::Active;
    subscription.next_charge_at = active.then_some(period.ends_at);
    save(unit_of_work, &mut subscription).await
}

/// The charge of a period failed: it is tried again later, and given up after a few times.
pub(super) async fn order_failed(unit_of_work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    let Some(id) = order.subscription_id else { return Ok(()) };
    if !SubscriptionRepository::settle_period(unit_of_work, order.id, PeriodStatus::Failed).await? {
        return Ok(());
    }
    let mut subscription =
        SubscriptionRepository::lock(unit_of_work, id).await?.ok_or(NotFound::Subscription)?;
    if !matches!(subscription.status, SubscriptionStatus::Active | SubscriptionStatus::PastDue) {
        return Ok(());
    }
    subscription.failed_attempts += 1;
    if subscription.status == SubscriptionStatus::Active {
        subscription.status = subscription.status.step(SubscriptionStatus::PastDue)?;
    }
    let waits = usize::try_from(subscription.failed_attempts - 1).ok().and_then(|failed| DUNNING.get(failed));
    subscription.next_charge_at = match waits {
        Some(&wait) if subscription.failed_attempts < MAX_CHARGE_ATTEMPTS => {
            Some(later(unit_of_work.now(), wait))
        }
        _ => {
            subscription.status = subscription.status.step(SubscriptionStatus::Expired)?;
            None
        }
    };
    save(unit_of_work, &mut subscription).await
}

/// Charges nothing more until it is resumed; what is paid stays paid.
pub async fn pause(unit_of_work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    change(unit_of_work, id, SubscriptionStatus::Paused).await
}

/// Charges again: at the end of what is paid, or at once if that is over.
pub async fn resume(unit_of_work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    change(unit_of_work, id, SubscriptionStatus::Active).await
}

/// Charges nothing more, for good; what is paid stays paid.
pub async fn cancel(unit_of_work: &mut UnitOfWork, id: SubscriptionId) -> Result<Subscription, Failure> {
    change(unit_of_work, id, SubscriptionStatus::Cancelled).await
}

async fn change(
    unit_of_work: &mut UnitOfWork,
    id: SubscriptionId,
    to: SubscriptionStatus,
) -> Result<Subscription, Failure> {
    let mut subscription =
        SubscriptionRepository::lock(unit_of_work, id).await?.ok_or(NotFound::Subscription)?;
    subscription.status = subscription.status.step(to)?;
    let now = unit_of_work.now();
    subscription.next_charge_at = None;
    if to == SubscriptionStatus::Active {
        if subscription.paid_until < now {
            // Nobody pays for the time it was paused: its periods are counted from here on.
            subscription.anchor_at = now;
            subscription.paid_until = now;
        }
        subscription.next_charge_at = Some(subscription.paid_until);
    }
    save(unit_of_work, &mut subscription).await?;
    Ok(subscription)
}

/// Gives back the share of the last charge that pays for time after `now`.
pub async fn refund_rest(
    store: &Store,
    id: SubscriptionId,
    render: Arc<dyn super::idempotency::Render<MovedMoney>>,
) -> Result<Option<crate::infrastructure::repositories::Answer>, Failure> {
    let mut session = store.database().read().await?;
    let periods = SubscriptionRepository(&mut session).periods(id).await?;
    let Some(period) = periods.iter().rev().find(|period| period.status == PeriodStatus::Paid) else {
        return Ok(None);
    };
    let order: Order = session.find(period.order_id).await?.ok_or(NotFound::Order)?;
    drop(session);
    let amount = prorated(order.total, period, store.database().context().clock.now());
    if amount == 0 {
        return Ok(None);
    }
    let request = MoneyMove {
        order_id: order.id,
        kind: StepKind::Refund,
        amount: Some(amount),
        reason: Some("the subscription ended early".into()),
        restock: false,
    };
    move_money(store, request, None, render).await.map(Some)
}

/// The share of a period's price, in minor units, that pays for the time after `now`; rounded down.
fn prorated(total: i64, period: &SubscriptionPeriod, now: Timestamp) -> i64 {
    let whole = i128::from(period.ends_at.as_microsecond() - period.starts_at.as_microsecond()).max(1);
    let left = i128::from(period.ends_at.as_microsecond() - now.as_microsecond()).clamp(0, whole);
    i64::try_from(i128::from(total) * left / whole).unwrap_or(0)
}

async fn save(unit_of_work: &mut UnitOfWork, subscription: &mut Subscription) -> Result<(), Failure> {
    unit_of_work.update(subscription).await?;
    changed(unit_of_work, subscription).await
}

async fn changed(unit_of_work: &mut UnitOfWork, subscription: &Subscription) -> Result<(), Failure> {
    let event = SubscriptionChanged {
        subscription_id: subscription.id,
        user_id: subscription.user_id,
        status: subscription.status.name().to_owned(),
    };
    Ok(unit_of_work.publish(&event).await?)
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

    #[test]
    fn a_month_from_the_31st_ends_on_the_last_day_and_comes_back_to_the_31st() {
        let anchor = "2026-01-31T10:00:00Z".parse().unwrap();
        let first = period_end(BillingInterval::Month, anchor, anchor).unwrap();
        let second = period_end(BillingInterval::Month, anchor, first).unwrap();
        assert_eq!(first.to_string(), "2026-02-28T10:00:00Z");
        assert_eq!(second.to_string(), "2026-03-31T10:00:00Z");
    }
}
