//! Subscriptions: the same thing again every period, charged exactly once each.

use jiff::{Span, Timestamp, tz::TimeZone};

use super::address::Address;
use super::ids::{OrderId, ProductId, SubscriptionId, UserId, VariantId};
use super::money::Currency;
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
        /// Paid.
        Paid = "paid" -> [],
        /// Its charge failed and may be retried.
        Failed = "failed" -> [Charging],
    }
}

/// A subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub user_id: UserId,
    /// What is delivered.
    pub product_id: ProductId,
    /// In which variant.
    pub variant_id: VariantId,
    /// How many.
    pub quantity: i64,
    /// How it stands.
    pub status: SubscriptionStatus,
    /// How often it is charged.
    pub interval: BillingInterval,
    /// The currency it is charged in.
    pub currency: Currency,
    /// Where it goes.
    pub shipping_address: Address,
    /// Who charges.
    pub provider: String,
    /// The shopper's token for the means of payment.
    pub token: String,
    /// The period that was last begun, from 1.
    pub period: i64,
    /// When it was first begun: the day that periods are counted from.
    pub anchor_at: Timestamp,
    /// Until when it is paid.
    pub paid_until: Timestamp,
    /// When the next charge is due; `None` when there is none.
    pub next_charge_at: Option<Timestamp>,
    /// Failed charges of the current period.
    pub failed_attempts: i64,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The charge of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionPeriod {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Which period, from 1.
    pub period: i64,
    /// The order that charges it.
    pub order_id: OrderId,
    /// How it went.
    pub status: PeriodStatus,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
}

impl BillingInterval {
    /// The instant `periods` intervals after `anchor`, in UTC; months keep the anchor's day where they have it.
    pub fn after(self, anchor: Timestamp, periods: i64) -> Result<Timestamp, jiff::Error> {
        let span = match self {
            Self::Week => Span::new().try_weeks(periods),
            Self::Month => Span::new().try_months(periods),
            Self::Year => Span::new().try_years(periods),
        }?;
        Ok(anchor.to_zoned(TimeZone::UTC).checked_add(span)?.timestamp())
    }
}
