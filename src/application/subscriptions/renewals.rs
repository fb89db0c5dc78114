//! Renewals: each period of a subscription is charged once, and tried again a few times when its charge fails.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::SubscriptionId;
use crate::domain::payment::Payment;
use crate::domain::product::BillingInterval;
use crate::domain::state::State;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::infrastructure::repositories::{SubscriptionRepository, UnitOfWork};

use super::lifecycle::save;
use crate::application::Store;
use crate::application::idempotency::later;
use crate::application::payments::gateway_calls::{apply_charge, authorize, gateway};
use crate::application::selling::place_order::{OrderDraft, place_order};
use crate::application::selling::quote::{QuoteLine, ShippingChoice};

/// Subscriptions charged in one round.
const ROUND: i64 = 100;
/// How long to wait before a charge that failed is tried again, by the number of failures; after one more the
/// subscription expires.
const DUNNING: [SignedDuration; 3] =
    [SignedDuration::from_hours(24), SignedDuration::from_hours(3 * 24), SignedDuration::from_hours(5 * 24)];

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
        .write_boxed(move |work| {
            let store = at.clone();
            Box::pin(async move { place_renewal(work, &store, id).await })
        })
        .await;
    let payment = match placed {
        Ok(Some(payment)) => payment,
        Ok(None) => return Ok(false),
        Err(failure) => {
            // Sold out, not for sale, below the minimum age. A fault of the store or of a vendor is not the customer's.
            if failure.kind().is_final() {
                put_off(store, id).await?;
            }
            return Err(failure);
        }
    };
    if let Some(charge) = authorize(store, &payment).await? {
        apply_charge(store, payment.id, charge).await?;
    }
    Ok(true)
}

/// Takes the right to charge the period and places its order.
async fn place_renewal(
    work: &mut UnitOfWork,
    store: &Store,
    id: SubscriptionId,
) -> Result<Option<Payment>, Failure> {
    let subscription = SubscriptionRepository::lock(work, id).await?.ok_or(NotFound::Subscription)?;
    let now = work.now();
    if !is_due(&subscription, now) {
        return Ok(None);
    }
    gateway(store, &subscription.provider)?;
    let (starts_at, ends_at) = next_period(&subscription, now)?;
    let period = SubscriptionPeriod {
        subscription_id: id,
        period: subscription.period + 1,
        order_id: work.id(),
        status: PeriodStatus::Charging,
        starts_at,
        ends_at,
    };
    if !SubscriptionRepository::claim_period(work, &period).await? {
        return Ok(None);
    }
    let user: User = work.find(subscription.user_id).await?.ok_or(NotFound::Subscription)?;
    let draft = OrderDraft {
        id: period.order_id,
        payment_id: work.id(),
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
    let placed = place_order(work, &store.policy, &draft).await?;
    // Until the charge is settled nothing is due; settling it says what is next.
    SubscriptionRepository::schedule(work, id, None).await?;
    Ok(Some(placed.payment))
}

fn is_due(subscription: &Subscription, now: Timestamp) -> bool {
    let charged = matches!(subscription.status, SubscriptionStatus::Active | SubscriptionStatus::PastDue);
    charged && subscription.next_charge_at.is_some_and(|at| at <= now)
}

/// The period that follows on what is paid. If that would be over by now, it begins now: nobody pays later for time
/// in which nothing came.
fn next_period(subscription: &Subscription, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let interval = subscription.interval;
    let ends_at = period_end(interval, subscription.anchor_at, subscription.paid_until)?;
    if ends_at > now {
        return Ok((subscription.paid_until, ends_at));
    }
    Ok((now, period_end(interval, now, now)?))
}

/// The end of the period that begins at `start`: the first of the anchor's steps after it.
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

/// Counts a renewal that could not be placed as a charge that failed, unless somebody did meanwhile.
async fn put_off(store: &Store, id: SubscriptionId) -> Result<(), Failure> {
    store
        .database()
        .write_boxed(move |work| {
            Box::pin(async move {
                let found = SubscriptionRepository::lock(work, id).await?;
                let mut subscription = found.ok_or(NotFound::Subscription)?;
                if is_due(&subscription, work.now()) {
                    charge_failed(work, &mut subscription).await?;
                }
                Ok(())
            })
        })
        .await
}

/// A charge failed: it is tried again later, and given up after a few times.
pub(crate) async fn charge_failed(
    work: &mut UnitOfWork,
    subscription: &mut Subscription,
) -> Result<(), Failure> {
    if subscription.status == SubscriptionStatus::Active {
        subscription.status = subscription.status.step(SubscriptionStatus::PastDue)?;
    }
    let wait = usize::try_from(subscription.failed_attempts).ok().and_then(|failed| DUNNING.get(failed));
    subscription.failed_attempts += 1;
    subscription.next_charge_at = wait.map(|&wait| later(work.now(), wait));
    if wait.is_none() {
        subscription.status = subscription.status.step(SubscriptionStatus::Expired)?;
    }
    save(work, subscription).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_from_the_31st_ends_on_the_last_day_and_comes_back_to_the_31st() {
        let anchor = "2026-01-31T10:00:00Z".parse().unwrap();
        let first = period_end(BillingInterval::Month, anchor, anchor).unwrap();
        let second = period_end(BillingInterval::Month, anchor, first).unwrap();
        assert_eq!(first.to_string(), "2026-02-28T10:00:00Z");
        assert_eq!(second.to_string(), "2026-03-31T10:00:00Z");
    }
}
