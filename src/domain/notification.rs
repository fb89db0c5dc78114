//! Notifications: messages to users.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{NotificationId, UserId};
use super::state::states;

states! {
    /// The channel of a notification.
    Channel, "channel", {
        /// In the app.
        InApp = "in_app" -> [],
        /// By e-mail.
        Email = "email" -> [],
        /// By SMS.
        Sms = "sms" -> [],
    }
}

states! {
    /// The delivery status of a notification.
    DeliveryStatus, "delivery", {
        /// The notification is to be sent.
        Pending = "pending" -> [Delivered, Failed],
        /// The notification was delivered.
        Delivered = "delivered" -> [],
        /// The delivery failed.
        Failed = "failed" -> [],
    }
}

/// A message to a user: its kind and its facts. The text is made when the notification is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The id.
    pub id: NotificationId,
    /// The recipient.
    pub user_id: UserId,
    /// The kind, such as `order_paid`: the key of the message.
    pub kind: String,
    /// The facts in the message.
    pub facts: NotificationFacts,
    /// The channel.
    pub channel: Channel,
    /// The delivery status.
    pub delivery: DeliveryStatus,
    /// The time at which the notification was marked as read, UTC.
    pub read_at: Option<Timestamp>,
    /// The time at which the notification was created, UTC.
    pub created_at: Timestamp,
}

/// The facts that the message of a notification may contain.
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
    /// The amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<super::money::Money>,
    /// The URL of a webhook endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The name of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}
