//! What the store tells its users.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{NotificationId, UserId};
use super::state::states;

states! {
    /// The way a notification takes.
    Channel, "channel", {
        /// Shown in the store.
        InApp = "in_app" -> [],
        /// By e-mail.
        Email = "email" -> [],
        /// By text message.
        Sms = "sms" -> [],
    }
}

states! {
    /// Whether a notification arrived.
    DeliveryStatus, "delivery", {
        /// To be sent.
        Pending = "pending" -> [Delivered, Failed],
        /// Arrived.
        Delivered = "delivered" -> [],
        /// Given up.
        Failed = "failed" -> [],
    }
}

/// Something the store tells a user: what happened and its facts; the words are made when it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// What happened (`order_paid`): the key of its message.
    pub kind: String,
    /// The facts its message names.
    pub facts: NotificationFacts,
    /// By which way.
    pub channel: Channel,
    /// Whether it arrived.
    pub delivery: DeliveryStatus,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The facts that a notification's message may name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFacts {
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<super::ids::OrderId>,
    /// The order's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<i64>,
    /// The subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<super::ids::SubscriptionId>,
    /// The money it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<super::money::Money>,
}
