//! E-mails to customers and administrators.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ids::{EmailId, UserId, UserTokenId};
use super::state::states;

/// The waits before the attempts after the first: about a day in all.
const WAITS: [SignedDuration; 6] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(16),
];

states! {
    /// The status of an e-mail.
    EmailStatus, "e-mail", {
        /// The e-mail is to be sent.
        Pending = "pending" -> [Sent, Failed],
        /// The mail server accepted the e-mail.
        Sent = "sent" -> [],
        /// The mail server refused the e-mail for good, or every attempt failed.
        Failed = "failed" -> [Pending],
    }
}

/// An e-mail, as plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// The id, from which the header `Message-ID` follows: a repeated attempt has the same.
    pub id: EmailId,
    /// The user to whom it is sent; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The event that it is about; `None` if there is none. There is one e-mail for each.
    pub event_id: Option<Uuid>,
    /// The kind, such as `order_paid`.
    pub kind: String,
    /// The address to which it is sent.
    pub recipient: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// The status.
    pub status: EmailStatus,
    /// The number of attempts that have ended.
    pub attempts: i64,
    /// The time of the next attempt; `None` if there is none.
    pub due_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When the e-mail was created.
    pub created_at: Timestamp,
    /// When the e-mail was sent or failed.
    pub ended_at: Option<Timestamp>,
    /// The token that replaces `{token}` in the text when the e-mail is handed to the mail server.
    pub token_id: Option<UserTokenId>,
}

impl std::fmt::Debug for Email {
    /// Without the address and the text, which are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, kind, status, attempts, .. } = self;
        f.debug_struct("Email")
            .field("id", id)
            .field("kind", kind)
            .field("status", status)
            .field("attempts", attempts)
            .finish_non_exhaustive()
    }
}

/// Returns the wait after so many failed attempts; `None` if there is no further one.
pub fn wait_after(attempts: i64) -> Option<SignedDuration> {
    usize::try_from(attempts - 1).ok().and_then(|failed| WAITS.get(failed)).copied()
}
