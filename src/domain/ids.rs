//! The names things go by: one newtype over a UUID per aggregate, so that an order's id never passes for a product's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Defines id newtypes; all they share is this shape.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A person with an account: shopper or administrator.
    UserId,
    /// A product, the thing a page shows; what is sold are its variants.
    ProductId,
    /// A variant of a product: what has a SKU, prices and stock.
    VariantId,
    /// A node of the category tree.
    CategoryId,
    /// A cart.
    CartId,
    /// A discount code.
    DiscountId,
    /// A way of shipping.
    ShippingMethodId,
    /// An order.
    OrderId,
    /// The payment of an order.
    PaymentId,
    /// One step of a payment: an authorization, a capture, a refund, a void.
    PaymentStepId,
    /// An invoice or a credit note.
    InvoiceId,
    /// A review.
    ReviewId,
    /// A subscription.
    SubscriptionId,
    /// A notification.
    NotificationId,
}
