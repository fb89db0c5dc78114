//! A subscription and its periods.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::address::Address;
use crate::domain::ids::{OrderId, ProductId, SubscriptionId, UserId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::product::BillingInterval;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};
use crate::presentation::http::response::{StoredResponse, tagged};

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionBody {
    /// The id of the subscription.
    id: SubscriptionId,
    /// The user who is charged for the subscription.
    user_id: UserId,
    /// The product that is delivered.
    product_id: ProductId,
    /// The variant that is delivered.
    variant_id: VariantId,
    /// The number of pieces in each period.
    quantity: i64,
    /// Only an `active` or `past_due` subscription is charged.
    status: SubscriptionStatus,
    /// The length of a period.
    interval: BillingInterval,
    /// The currency of the charges.
    currency: Currency,
    /// The price of one piece in every period, as it was agreed with the first order.
    unit_price: Money,
    /// The code of the shipping method of the first order. The cheapest one is used if it no longer delivers to the
    /// address.
    shipping_method: Option<String>,
    /// The address to which the variant is delivered.
    shipping_address: Address,
    /// The address on the invoices.
    billing_address: Address,
    /// The payment provider.
    provider: String,
    /// The number of the latest period, from 1.
    period: i64,
    /// The end of the paid period.
    paid_until: Timestamp,
    /// The time of the next renewal.
    next_charge_at: Option<Timestamp>,
    /// The number of failed attempts to charge the latest period.
    failed_attempts: i64,
    /// The time at which the subscription was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
    /// The periods, oldest first. Omitted in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    periods: Option<Vec<SubscriptionPeriodBody>>,
}

/// A period of a subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubscriptionPeriod)]
pub(super) struct SubscriptionPeriodBody {
    /// The number of the period, from 1.
    period: i64,
    /// The order that pays the period.
    order_id: OrderId,
    /// Whether the charge of the period is pending (`charging`), succeeded (`paid`) or `failed`.
    status: PeriodStatus,
    /// The start of the period.
    starts_at: Timestamp,
    /// The end of the period.
    ends_at: Timestamp,
}

impl SubscriptionBody {
    /// The response with this subscription.
    pub fn response(subscription: &Subscription) -> StoredResponse {
        tagged(subscription.version, &Self::of(subscription))
    }

    /// The body of a subscription with its periods.
    pub fn with_periods(subscription: &Subscription, periods: &[SubscriptionPeriod]) -> Self {
        let periods = periods.iter().map(SubscriptionPeriodBody::of).collect();
        Self { periods: Some(periods), ..Self::of(subscription) }
    }

    /// The body of a subscription, without its periods.
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
            unit_price: subscription.unit_price,
            shipping_method: subscription.shipping_method.clone(),
            shipping_address: subscription.shipping_address.clone(),
            billing_address: subscription.billing_address.clone(),
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

impl SubscriptionPeriodBody {
    /// The body of a period.
    fn of(period: &SubscriptionPeriod) -> Self {
        Self {
            period: period.period,
            order_id: period.order_id,
            status: period.status,
            starts_at: period.starts_at,
            ends_at: period.ends_at,
        }
    }
}
