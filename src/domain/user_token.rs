//! Tokens that prove, once, that their holder reads the e-mails to an address.

use jiff::{SignedDuration, Timestamp};

use super::ids::{UserId, UserTokenId};
use super::state::states;

states! {
    /// What a token allows its holder to do.
    TokenPurpose, "token", {
        /// Verify the e-mail address of the account.
        EmailVerification = "email_verification" -> [],
        /// Set a new password.
        PasswordReset = "password_reset" -> [],
        /// Make the address to which the token was sent that of the account.
        EmailChange = "email_change" -> [],
    }
}

impl TokenPurpose {
    /// Returns the time for which a token is valid.
    pub fn lifetime(self) -> SignedDuration {
        match self {
            Self::EmailVerification | Self::EmailChange => SignedDuration::from_hours(24),
            Self::PasswordReset => SignedDuration::from_hours(1),
        }
    }
}

/// A token of a user. Only the e-mail has its text.
#[derive(Clone, PartialEq, Eq)]
pub struct UserToken {
    /// The id.
    pub id: UserTokenId,
    /// The user.
    pub user_id: UserId,
    /// What the token is for.
    pub purpose: TokenPurpose,
    /// The SHA-256 hash of the token.
    pub token_hash: Vec<u8>,
    /// The address to which the token was sent.
    pub email: String,
    /// The time at which the token was issued, UTC.
    pub created_at: Timestamp,
    /// The time from which the token is not valid, UTC: a token that was used or replaced has expired.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for UserToken {
    /// Without the address, which is personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserToken")
            .field("id", &self.id)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}
