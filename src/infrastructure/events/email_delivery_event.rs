//! The outcome of an e-mail: published in the transaction that records it.

use serde::{Deserialize, Serialize};

use crate::domain::events::DurableEvent;
use crate::domain::ids::{EmailId, UserId};

/// A mail server accepted an e-mail, deferred it, or refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailDeliveryEvent {
    /// The e-mail. Its address and text are not part of the event.
    pub email_id: EmailId,
    /// The user to whom it is sent; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The kind of the e-mail, such as `order_paid`.
    pub kind: String,
    /// The outcome.
    pub outcome: EmailOutcome,
    /// The number of attempts.
    pub attempts: i64,
}

/// The outcome of an attempt to send an e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailOutcome {
    /// The server accepted the e-mail.
    Delivered,
    /// The server was not reached or asked to try again; a further attempt follows.
    Deferred,
    /// The server refused the e-mail for good.
    Bounced,
    /// No attempt succeeded.
    Expired,
}

impl DurableEvent for EmailDeliveryEvent {
    const TYPE: &'static str = "email_delivery";

    fn subject(&self) -> String {
        self.email_id.to_string()
    }
}
