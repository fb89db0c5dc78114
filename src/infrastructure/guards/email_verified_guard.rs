//! The user's e-mail address is verified, where the store requires it.

use super::Guard;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// What the store requires, and what is known of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailFacts {
    /// Whether the store requires a verified address.
    pub is_required: bool,
    /// Whether the address of the user is verified; `None` for a guest.
    pub is_verified: Option<bool>,
}

impl EmailFacts {
    /// Returns the facts of a user; `None` is a guest.
    pub fn of(user: Option<&User>, is_required: bool) -> Self {
        Self { is_required, is_verified: user.map(|user| user.email_verified_at.is_some()) }
    }
}

/// The proof that the user's e-mail address is verified, or that the store does not require it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailVerifiedGuard(());

impl Guard for EmailVerifiedGuard {
    type Facts = EmailFacts;

    fn check(facts: EmailFacts) -> Result<Self, Failure> {
        match facts.is_verified {
            _ if !facts.is_required => Ok(Self(())),
            Some(true) => Ok(Self(())),
            Some(false) => Err(UnauthorizedAccessException::EmailNotVerified.into()),
            None => Err(UnauthorizedAccessException::NotLoggedIn.into()),
        }
    }

    fn refusals() -> Vec<Failure> {
        use UnauthorizedAccessException::{EmailNotVerified, NotLoggedIn};
        [NotLoggedIn, EmailNotVerified].map(Failure::from).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_verified_only_if_that_is_required() {
        let check = |is_required, is_verified| {
            let checked = EmailVerifiedGuard::check(EmailFacts { is_required, is_verified });
            checked.map_err(|failure| failure.status().as_u16()).map(drop)
        };
        for user in [None, Some(false), Some(true)] {
            assert_eq!(check(false, user), Ok(()));
        }
        assert_eq!(check(true, Some(true)), Ok(()));
        assert_eq!(check(true, Some(false)), Err(403));
        assert_eq!(check(true, None), Err(401));
    }
}
