//! What the business does, as plain data. Each is published in the transaction that did it.

use serde::{Deserialize, Serialize};

use super::ids::{CartId, OrderId, PaymentId, ProductId, ReviewId, SubscriptionId, UserId, VariantId};
use super::money::Money;

/// Defines events: plain data with the type it has on the wire.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $type:literal, $subject:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),+ }

        impl DomainEvent for $name {
            const TYPE: &'static str = $type;
            fn subject(&self) -> String { self.$subject.to_string() }
        }
    )+};
}

/// Something the business did.
pub trait DomainEvent: Serialize + serde::de::DeserializeOwned + Send + Sync + 'static {
    /// Its CloudEvents type.
    const TYPE: &'static str;
    /// The version of its data, for readers that outlive a change of it.
    const VERSION: i64 = 1;
    /// The aggregate it happened to: events of one subject are handled in their order.
    fn subject(&self) -> String;
}

events! {
    /// Somebody registered.
    UserRegistered = "user.registered", user_id {
        /// Who.
        user_id: UserId,
    }
    /// A user's data was erased on request.
    UserErased = "user.erased", user_id {
        /// Who.
        user_id: UserId,
    }
    /// A product was made or changed.
    ProductChanged = "product.changed", product_id {
        /// Which.
        product_id: ProductId,
    }
    /// The stock of a variant was set.
    StockChanged = "stock.changed", variant_id {
        /// Which variant.
        variant_id: VariantId,
        /// What can be sold now.
        available: i64,
    }
    /// The last piece of a variant was sold or reserved.
    StockDepleted = "stock.depleted", variant_id {
        /// Which variant.
        variant_id: VariantId,
    }
    /// An order was placed; its payment is not settled yet.
    OrderPlaced = "order.placed", order_id {
        /// Which order.
        order_id: OrderId,
        /// Its number.
        number: i64,
        /// By whom; `None` is a guest.
        user_id: Option<UserId>,
        /// From which cart.
        cart_id: Option<CartId>,
        /// What is to be paid.
        total: Money,
    }
    /// An order was paid.
    OrderPaid = "order.paid", order_id {
        /// Which order.
        order_id: OrderId,
        /// Its number.
        number: i64,
        /// By whom; `None` is a guest.
        user_id: Option<UserId>,
        /// What was paid.
        total: Money,
    }
    /// An order was given up.
    OrderCancelled = "order.cancelled", order_id {
        /// Which order.
        order_id: OrderId,
        /// Its number.
        number: i64,
        /// Whose; `None` is a guest's.
        user_id: Option<UserId>,
        /// Why, as a code.
        reason: String,
    }
    /// An order was handed to the carrier.
    OrderFulfilled = "order.fulfilled", order_id {
        /// Which order.
        order_id: OrderId,
        /// Its number.
        number: i64,
        /// Whose; `None` is a guest's.
        user_id: Option<UserId>,
    }
    /// A payment's money was taken.
    PaymentCaptured = "payment.captured", order_id {
        /// Which payment.
        payment_id: PaymentId,
        /// Of which order.
        order_id: OrderId,
        /// How much.
        amount: Money,
    }
    /// A payment was declined.
    PaymentFailed = "payment.failed", order_id {
        /// Which payment.
        payment_id: PaymentId,
        /// Of which order.
        order_id: OrderId,
        /// Why, as a code.
        reason: String,
    }
    /// Money was given back.
    PaymentRefunded = "payment.refunded", order_id {
        /// Which payment.
        payment_id: PaymentId,
        /// Of which order.
        order_id: OrderId,
        /// The order's number.
        number: i64,
        /// Whose; `None` is a guest's.
        user_id: Option<UserId>,
        /// How much.
        amount: Money,
    }
    /// The vendor refused to give money back or to let go of it.
    PaymentRefundFailed = "payment.refund_failed", order_id {
        /// Which payment.
        payment_id: PaymentId,
        /// Of which order.
        order_id: OrderId,
        /// How much.
        amount: Money,
        /// Why, in the vendor's words.
        reason: String,
    }
    /// A review was written.
    ReviewWritten = "review.written", product_id {
        /// Which.
        review_id: ReviewId,
        /// Of which product.
        product_id: ProductId,
    }
    /// A subscription was begun, renewed, paused, resumed, or given up.
    SubscriptionChanged = "subscription.changed", subscription_id {
        /// Which.
        subscription_id: SubscriptionId,
        /// Whose.
        user_id: UserId,
        /// How it stands now.
        status: String,
    }
}
