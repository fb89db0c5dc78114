//! A subscription and the charges of its periods.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::address::Address;
use crate::domain::ids::{OrderId, ProductId, SubscriptionId, UserId, VariantId};
use crate::domain::money::Currency;
use crate::domain::product::BillingInterval;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::infrastructure::repositories::StoredResponse;
use crate::presentation::http::answer::versioned;

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionBody {
    /// Its id.
    id: SubscriptionId,
    /// Whose it is.
    user_id: UserId,
    /// What is delivered.
    product_id: ProductId,
    /// In which variant.
    variant_id: VariantId,
    /// How many.
    quantity: i64,
    /// How it stands.
    status: SubscriptionStatus,
    /// How often it is charged.
    interval: BillingInterval,
    /// The currency it is charged in.
    currency: Currency,
    /// Where it goes.
    shipping_address: Address,
    /// Who charges.
    provider: String,
    /// The number of the period that was last begun.
    period: i64,
    /// Until when it is paid.
    paid_until: Timestamp,
    /// When it is charged next.
    next_charge_at: Option<Timestamp>,
    /// How often the charge of this period has failed.
    failed_attempts: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
    /// The charges, oldest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub periods: Option<Vec<PeriodBody>>,
}

/// The charge of one period.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubscriptionPeriod)]
pub struct PeriodBody {
    /// Which period, from 1.
    period: i64,
    /// The order that charges it.
    order_id: OrderId,
    /// How it went.
    status: PeriodStatus,
    /// From when.
    starts_at: Timestamp,
    /// Until when.
    ends_at: Timestamp,
}

impl SubscriptionBody {
    /// The answer that shows it.
    pub fn answer(subscription: &Subscription) -> StoredResponse {
        versioned(subscription.version, &Self::of(subscription))
    }

    /// As it looks outside.
    pub fn of(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id,
            user_id: subscription.user_id,
            product_id: subscription.product_id,
            variant_id: subscription.variant_id,
            quantity: subscription.quantity,
            status: subscription.status,
            interval: subscription.interval,
            currency: subscription.currency,
            shipping_address: subscription.shipping_address.clone(),
            provider: subscription.provider.clone(),
            period: subscription.period,
            paid_until: subscription.paid_until,
            next_charge_at: subscription.next_charge_at,
            failed_attempts: subscription.failed_attempts,
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
            periods: None,
        }
    }
}

impl PeriodBody {
    /// As it looks outside.
    pub fn of(period: &SubscriptionPeriod) -> Self {
        Self {
            period: period.period,
            order_id: period.order_id,
            status: period.status,
            starts_at: period.starts_at,
            ends_at: period.ends_at,
        }
    }
}
