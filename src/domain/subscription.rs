//! Subscriptions and their periods. Each period is charged exactly once.

use jiff::{Span, Timestamp, tz::TimeZone};

use super::address::Address;
use super::ids::{OrderId, ProductId, SubscriptionId, UserId, VariantId};
use super::money::{Currency, Money};
use super::product::BillingInterval;
use super::state::states;

states! {
    /// The status of a subscription.
    SubscriptionStatus, "subscription", {
        /// Paid up to the end of its period.
        Active = "active" -> [PastDue, Paused, Cancelled],
        /// The last charge failed and is retried.
        PastDue = "past_due" -> [Active, Cancelled, Expired],
        /// Not charged until it is resumed.
        Paused = "paused" -> [Active, Cancelled],
        /// Cancelled by the subscriber or an administrator.
        Cancelled = "cancelled" -> [],
        /// Ended because every retry of a charge failed.
        Expired = "expired" -> [],
    }
}

states! {
    /// The status of a period.
    PeriodStatus, "subscription period", {
        /// Its charge is pending.
        Charging = "charging" -> [Paid, Failed],
        /// Its charge succeeded.
        Paid = "paid" -> [],
        /// Its charge failed and may be retried.
        Failed = "failed" -> [Charging],
    }
}

/// A subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The id.
    pub id: SubscriptionId,
    /// The subscribed user.
    pub user_id: UserId,
    /// The product that is delivered.
    pub product_id: ProductId,
    /// The variant that is delivered.
    pub variant_id: VariantId,
    /// The number of pieces in each period.
    pub quantity: i64,
    /// The status.
    pub status: SubscriptionStatus,
    /// The interval at which the subscription is charged.
    pub interval: BillingInterval,
    /// The currency of the charges.
    pub currency: Currency,
    /// The price of one piece, as it was agreed with the first order. Tax and shipping are added at each renewal.
    pub unit_price: Money,
    /// The code of the shipping method of the first order. A renewal that it does not deliver has the cheapest method.
    pub shipping_method: Option<String>,
    /// The address to which the renewals are delivered.
    pub shipping_address: Address,
    /// The address of the invoices.
    pub billing_address: Address,
    /// The name of the payment provider.
    pub provider: String,
    /// The payment method token of the subscriber.
    pub token: String,
    /// The number of the last period that began, from 1.
    pub period: i64,
    /// The time from which the periods are counted, UTC.
    pub anchor_at: Timestamp,
    /// The end of the last paid period, UTC.
    pub paid_until: Timestamp,
    /// The time at which the next charge is due, UTC; `None` if there is none.
    pub next_charge_at: Option<Timestamp>,
    /// The number of failed charges of the current period.
    pub failed_attempts: i64,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

/// The charge of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionPeriod {
    /// The subscription that the period belongs to.
    pub subscription_id: SubscriptionId,
    /// The number of the period, from 1.
    pub period: i64,
    /// The renewal that charges the period.
    pub order_id: OrderId,
    /// The status of the charge.
    pub status: PeriodStatus,
    /// The start of the period, UTC.
    pub starts_at: Timestamp,
    /// The end of the period, UTC.
    pub ends_at: Timestamp,
}

impl BillingInterval {
    /// Returns the time `periods` intervals after `anchor`, in UTC. A month without the anchor's day has its last day
    /// instead.
    ///
    /// # Errors
    ///
    /// If the time is not representable.
    pub fn after(self, anchor: Timestamp, periods: i64) -> Result<Timestamp, jiff::Error> {
        let span = match self {
            Self::Week => Span::new().try_weeks(periods),
            Self::Month => Span::new().try_months(periods),
            Self::Year => Span::new().try_years(periods),
        }?;
        Ok(anchor.to_zoned(TimeZone::UTC).checked_add(span)?.timestamp())
    }
}
