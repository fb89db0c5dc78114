//! The user is an administrator. No other code decides that.

use std::ops::Deref;
use std::sync::Arc;

use super::{Credentials, Guard, Principal};
use crate::domain::ids::UserId;
use crate::domain::user::Role;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// The proof that the user is an administrator: the user and the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminGuard(Arc<Principal>);

impl Guard for AdminGuard {
    type Facts = Credentials;

    fn check(credentials: Credentials) -> Result<Self, Failure> {
        let principal = credentials.principal()?;
        match principal.user.role {
            Role::Admin => Ok(Self(principal)),
            Role::Customer => Err(UnauthorizedAccessException::NotAllowed.into()),
        }
    }

    fn refusals() -> Vec<Failure> {
        use UnauthorizedAccessException::{InvalidToken, NotAllowed, NotLoggedIn};
        [NotLoggedIn, InvalidToken, NotAllowed].map(Failure::from).to_vec()
    }
}

impl AdminGuard {
    /// Returns the id of the user.
    pub fn user_id(&self) -> UserId {
        self.0.user.id
    }
}

impl Deref for AdminGuard {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_refused() {
        assert_eq!(AdminGuard::check(Credentials::Missing).unwrap_err().status(), 401);
        assert_eq!(AdminGuard::check(Credentials::of(1, Role::Customer)).unwrap_err().status(), 403);
        assert_eq!(AdminGuard::check(Credentials::of(7, Role::Admin)).unwrap().user_id().0.as_u128(), 7);
    }
}
