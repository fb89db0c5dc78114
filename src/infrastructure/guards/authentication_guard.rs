//! The user is logged in.

use std::ops::Deref;
use std::sync::Arc;

use super::{Credentials, Guard, Principal};
use crate::infrastructure::exceptions::Failure;

/// The proof that the user is logged in: the user, and by what the user authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationGuard(Arc<Principal>);

impl Guard for AuthenticationGuard {
    type Facts = Credentials;

    fn check(credentials: Credentials) -> Result<Self, Failure> {
        credentials.principal().map(Self)
    }

    fn refusals() -> Vec<Failure> {
        Credentials::refusals().to_vec()
    }
}

impl Deref for AuthenticationGuard {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::Role;

    #[test]
    fn a_guest_and_an_ended_session_are_refused() {
        for missing in [Credentials::Missing, Credentials::Invalid] {
            let failure = AuthenticationGuard::check(missing).unwrap_err();
            assert_eq!(failure.status(), 401);
        }
        let proof = AuthenticationGuard::check(Credentials::of(7, Role::Customer)).unwrap();
        assert_eq!(proof.user_id().0.as_u128(), 7);
    }
}
