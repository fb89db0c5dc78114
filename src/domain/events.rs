//! The domain events: facts about the business, as plain data.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::ids::{CartId, OrderId, PaymentId, ProductId, ReviewId, SubscriptionId, UserId, VariantId};
use super::money::Money;

/// Defines events: `Name = "type", field of the subject { fields }`.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $type:literal, $subject:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),+ }

        impl DurableEvent for $name {
            const TYPE: &'static str = $type;
            fn subject(&self) -> String { self.$subject.to_string() }
        }
    )+

        /// The types of all events of the store.
        pub const EVENT_TYPES: &[&str] = &[$($type),+];
    };
}

/// A fact that is published in the transaction that caused it, and stored with it.
pub trait DurableEvent: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The CloudEvents type.
    const TYPE: &'static str;
    /// The version of the data, from 1. It grows with every change that older readers would misunderstand.
    const VERSION: i64 = 1;

    /// Returns the aggregate that the event belongs to; events of one subject are delivered in their order.
    fn subject(&self) -> String;

    /// Reads the data of a published event.
    ///
    /// An event type whose version has grown implements this itself, if events of older versions may still be in the
    /// outbox.
    ///
    /// # Errors
    ///
    /// [`UnreadableEvent`] if the data has another version than [`VERSION`](Self::VERSION), or another form.
    fn decode(version: i64, data: &Value) -> Result<Self, UnreadableEvent> {
        let event_type = Self::TYPE;
        if version != Self::VERSION {
            return Err(UnreadableEvent::Version { event_type, version, supported: Self::VERSION });
        }
        Self::deserialize(data).map_err(|source| UnreadableEvent::Data { event_type, source })
    }
}

/// The reason why a published event cannot be read.
#[derive(Debug, Error)]
pub enum UnreadableEvent {
    /// The event was published by a program that knows another version of it.
    #[error("version {version} of {event_type} is not supported: this program knows version {supported}")]
    Version {
        /// The CloudEvents type.
        event_type: &'static str,
        /// The version of the event.
        version: i64,
        /// The version that this program reads.
        supported: i64,
    },
    /// The data does not have the form of its version.
    #[error("the data of {event_type} is malformed")]
    Data {
        /// The CloudEvents type.
        event_type: &'static str,
        /// What is wrong with the data.
        source: serde_json::Error,
    },
}

events! {
    /// A user registered.
    UserRegistered = "user.registered", user_id {
        /// The user.
        user_id: UserId,
    }
    /// The personal data of a user was erased.
    UserErased = "user.erased", user_id {
        /// The user.
        user_id: UserId,
    }
    /// A product was created or changed.
    ProductChanged = "product.changed", product_id {
        /// The product.
        product_id: ProductId,
    }
    /// The stock of a variant was set.
    StockChanged = "stock.changed", variant_id {
        /// The variant.
        variant_id: VariantId,
        /// The pieces that are available now; `null` if they are not counted.
        available: Option<i64>,
    }
    /// The last available piece of a variant was sold or reserved.
    StockDepleted = "stock.depleted", variant_id {
        /// The variant.
        variant_id: VariantId,
    }
    /// An order was placed; its payment has no outcome yet.
    OrderPlaced = "order.placed", order_id {
        /// The order.
        order_id: OrderId,
        /// The number of the order.
        number: i64,
        /// The customer; `None` for a guest.
        user_id: Option<UserId>,
        /// The user's cart that was checked out; `None` for a renewal, and for the cart of a guest, which everyone uses
        /// who has its id.
        cart_id: Option<CartId>,
        /// The amount to pay.
        total: Money,
    }
    /// An order was paid.
    OrderPaid = "order.paid", order_id {
        /// The order.
        order_id: OrderId,
        /// The number of the order.
        number: i64,
        /// The customer; `None` for a guest.
        user_id: Option<UserId>,
        /// The amount of the order.
        total: Money,
    }
    /// An order was cancelled.
    OrderCancelled = "order.cancelled", order_id {
        /// The order.
        order_id: OrderId,
        /// The number of the order.
        number: i64,
        /// The customer; `None` for a guest.
        user_id: Option<UserId>,
        /// The code of the reason.
        reason: String,
    }
    /// An order was handed to the carrier, or delivered digitally.
    OrderFulfilled = "order.fulfilled", order_id {
        /// The order.
        order_id: OrderId,
        /// The number of the order.
        number: i64,
        /// The customer; `None` for a guest.
        user_id: Option<UserId>,
        /// Whether the order has only digital goods.
        #[serde(default)]
        digital: bool,
    }
    /// A payment was captured, in full or in part.
    PaymentCaptured = "payment.captured", order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order of the payment.
        order_id: OrderId,
        /// The captured amount.
        amount: Money,
    }
    /// A payment was declined.
    PaymentFailed = "payment.failed", order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order of the payment.
        order_id: OrderId,
        /// The code of the reason.
        reason: String,
    }
    /// A payment was refunded, in full or in part.
    PaymentRefunded = "payment.refunded", order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order of the payment.
        order_id: OrderId,
        /// The number of the order.
        number: i64,
        /// The customer; `None` for a guest.
        user_id: Option<UserId>,
        /// The refunded amount.
        amount: Money,
    }
    /// The payment provider refused a refund or a void.
    PaymentRefundFailed = "payment.refund_failed", order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order of the payment.
        order_id: OrderId,
        /// The amount of the operation.
        amount: Money,
        /// The message of the provider.
        reason: String,
    }
    /// A review was written.
    ReviewWritten = "review.written", product_id {
        /// The review.
        review_id: ReviewId,
        /// The reviewed product.
        product_id: ProductId,
    }
    /// A subscription began, was renewed, paused, resumed or cancelled, or expired.
    SubscriptionChanged = "subscription.changed", subscription_id {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// The subscribed user.
        user_id: UserId,
        /// The new status.
        status: String,
    }
}

impl OrderCancelled {
    /// The reason of a renewal of which no payment provider got the charge: another order follows soon.
    pub const NOT_CHARGED: &str = "not_charged";
    /// The reason of an order whose payment was declined, if the buyer knows that by the response to the checkout or by
    /// the notification of the subscription.
    pub const PAYMENT_FAILED: &str = "payment_failed";
    /// The reason of an order whose payment was declined after the response to the checkout.
    pub const PAYMENT_FAILED_LATER: &str = "payment_failed_later";

    /// Returns the kind of the e-mail and of the notification that the buyer gets; `None` for none.
    pub fn notice(&self) -> Option<&'static str> {
        match self.reason.as_str() {
            Self::NOT_CHARGED | Self::PAYMENT_FAILED => None,
            Self::PAYMENT_FAILED_LATER => Some("order_payment_failed"),
            _ => Some("order_cancelled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_read_in_its_own_version_only() {
        let event = StockDepleted { variant_id: VariantId(Uuid::nil()) };
        let data = serde_json::to_value(&event).unwrap();
        assert_eq!(StockDepleted::decode(1, &data).unwrap(), event);
        for version in [0, 2] {
            let error = StockDepleted::decode(version, &data).unwrap_err();
            assert!(matches!(error, UnreadableEvent::Version { supported: 1, .. }), "{error}");
        }
        let error = StockDepleted::decode(1, &json!({})).unwrap_err();
        assert_eq!(error.to_string(), "the data of stock.depleted is malformed");
    }
}
