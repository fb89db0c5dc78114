//! Ids: one newtype over a UUID for each aggregate, so that they cannot be confused.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::{Uuid, fmt::Hyphenated};

use super::parsed::parsed;

/// Defines id newtypes.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(#[serde(deserialize_with = "hyphenated")] pub Uuid);

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

/// Reads an id in its hyphenated form, the only one in which the API accepts ids.
fn hyphenated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    parsed(deserializer, "a UUID with hyphens").map(Hyphenated::into_uuid)
}

/// Passes the ids, each with its documentation, to a macro: here it defines them, elsewhere it implements a trait.
macro_rules! all_ids {
    ($macro:ident) => {
        $macro! {
            /// The id of a user: a customer or an administrator.
            UserId,
            /// The id of a session.
            SessionId,
            /// The id of a key that signs access tokens.
            AccessTokenKeyId,
            /// The id of an API key.
            ApiKeyId,
            /// The id of a token that is sent by e-mail.
            UserTokenId,
            /// The id of a product.
            ProductId,
            /// The id of a variant.
            VariantId,
            /// The id of a category.
            CategoryId,
            /// The id of a cart.
            CartId,
            /// The id of a discount.
            DiscountId,
            /// The id of a shipping method.
            ShippingMethodId,
            /// The id of an order.
            OrderId,
            /// The id of a payment.
            PaymentId,
            /// The id of a payment operation: an authorization, a capture, a void or a refund.
            PaymentOperationId,
            /// The id of an invoice or a credit note.
            InvoiceId,
            /// The id of a review.
            ReviewId,
            /// The id of a subscription.
            SubscriptionId,
            /// The id of a notification.
            NotificationId,
            /// The id of a dead letter.
            DeadLetterId,
            /// The id of a job.
            JobId,
            /// The id of an e-mail.
            EmailId,
            /// The id of a file.
            FileId,
            /// The id of a webhook endpoint.
            WebhookEndpointId,
            /// The id of a delivery of an event to a webhook endpoint.
            WebhookDeliveryId,
        }
    };
}
pub(crate) use all_ids;

all_ids!(ids);
