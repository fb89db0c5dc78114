//! Renewals: each period of a subscription is charged once, and a failed charge is retried.

use jiff::Timestamp;

use crate::domain::ids::SubscriptionId;
use crate::domain::payment::Payment;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{SubscriptionRepository, UnitOfWork};

use crate::application::Store;
use crate::application::payments::gateway_calls::{apply_charge, authorize, gateway};
use crate::application::payments::provider_scope::ProviderScope;
use crate::application::payments::subscription_periods::{fail_charge, lock, period_end, postpone_charge};
use crate::application::selling::holds::Holders;
use crate::application::selling::place_order::{OrderDraft, place_order};
use crate::application::selling::quote::{LinePrice, QuoteLine, ShippingChoice};

/// Charges up to 100 subscriptions with each payment provider in `scope` that are due at `by`, a limited number at the
/// same time. Returns how many were charged. A failure is logged and does not stop the others.
///
/// Dropping the future is safe: an order that was placed is recovered with its payment. If the provider never got the
/// charge, the order is cancelled when its reservation ends, and the subscription is charged again soon.
pub async fn renew_subscriptions(
    store: &Store,
    scope: ProviderScope,
    by: Timestamp,
) -> Result<usize, Failure> {
    scope.process_due::<Subscription, _>(store, by, |id| attempt(store, id)).await
}

/// Renews a subscription; returns whether it was charged. A failure is logged, and one that does not count as a failed
/// charge is retried later, so that it does not take the place of other subscriptions.
async fn attempt(store: &Store, id: SubscriptionId) -> bool {
    let failure = match renew(store, id).await {
        Ok(charged) => return charged,
        Err(failure) => failure,
    };
    tracing::warn!(subscription = %id, failure = %failure.report(), "the subscription could not be charged yet");
    if !failure.kind().is_final()
        && let Err(failure) = store.database().write(id, async |work, id| postpone(work, *id).await).await
    {
        let failure = failure.report();
        tracing::warn!(subscription = %id, %failure, "the charge of the subscription was not postponed");
    }
    false
}

/// Postpones the charge of a subscription that is still due.
async fn postpone(work: &mut UnitOfWork, id: SubscriptionId) -> Result<(), Failure> {
    let mut subscription = lock(work, id).await?;
    if is_due(&subscription, work.now()) {
        postpone_charge(work, &mut subscription).await?;
    }
    Ok(())
}

/// Charges the next period of a subscription if it is due. Returns whether this call did; another node may have.
///
/// # Errors
///
/// Those of [`place_order`], and [`Technical`](crate::infrastructure::exceptions::Technical) if the provider is not
/// configured. The latter does not count as a failed charge.
pub async fn renew(store: &Store, id: SubscriptionId) -> Result<bool, Failure> {
    let subscription: Option<Subscription> = store.database().read().await?.find(id).await?;
    gateway(store, &subscription.ok_or(NotFound::Subscription)?.provider)?;

    let place = store
        .database()
        .write((store.clone(), id), async |work, (store, id)| place_renewal(work, store, *id).await);
    let payment = match place.await {
        Ok(Some(payment)) => payment,
        Ok(None) => return Ok(false),
        Err(failure) => {
            // Sold out, not for sale, below the minimum age. A fault of the store or of a vendor is not the customer's.
            if failure.kind().is_final() {
                store.database().write(id, async |work, id| fail_renewal(work, *id).await).await?;
            }
            return Err(failure);
        }
    };
    if let Some(charge) = authorize(store, &payment).await? {
        apply_charge(store, payment.id, charge).await?;
    }
    Ok(true)
}

/// Claims the period and places its order.
async fn place_renewal(
    work: &mut UnitOfWork,
    store: &Store,
    id: SubscriptionId,
) -> Result<Option<Payment>, Failure> {
    let mut subscription = lock(work, id).await?;
    let now = work.now();
    if !is_due(&subscription, now) {
        return Ok(None);
    }
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
        cart_owner: None,
        subscription_id: Some(id),
        currency: subscription.currency,
        lines: vec![QuoteLine {
            variant_id: subscription.variant_id,
            quantity: subscription.quantity,
            price: LinePrice::Agreed { unit_price: subscription.unit_price, interval: subscription.interval },
        }],
        expected_total: None,
        discount_code: None,
        shipping: ShippingChoice::preferred(subscription.shipping_method.as_deref()),
        billing_address: subscription.billing_address.clone(),
        shipping_address: subscription.shipping_address.clone(),
        holders: Holders::none(),
        provider: subscription.provider.clone(),
        token: subscription.token.clone(),
    };
    let placed = place_order(work, &store.terms, &draft).await?;
    // nothing is due until the charge is settled, which schedules the next one
    subscription.next_charge_at = None;
    work.save(&mut subscription).await?;
    Ok(Some(placed.payment))
}

fn is_due(subscription: &Subscription, now: Timestamp) -> bool {
    let charged = matches!(subscription.status, SubscriptionStatus::Active | SubscriptionStatus::PastDue);
    charged && subscription.next_charge_at.is_some_and(|at| at <= now)
}

/// Returns the period that follows the paid time. It begins now if it would have ended by now: time in which nothing
/// was delivered is not charged.
fn next_period(subscription: &Subscription, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let interval = subscription.interval;
    let ends_at = period_end(interval, subscription.anchor_at, subscription.paid_until)?;
    if ends_at > now {
        return Ok((subscription.paid_until, ends_at));
    }
    Ok((now, period_end(interval, now, now)?))
}

/// Counts a renewal whose order was refused as a failed charge, unless another node has counted it.
async fn fail_renewal(work: &mut UnitOfWork, id: SubscriptionId) -> Result<(), Failure> {
    let mut subscription = lock(work, id).await?;
    if is_due(&subscription, work.now()) {
        fail_charge(work, &mut subscription).await?;
    }
    Ok(())
}
