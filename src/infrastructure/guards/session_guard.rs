//! The user has logged in, and sends the token of the session: an API key or an access token is not enough for what
//! would let who found it keep the account, nor a token of the identity provider.

use std::ops::Deref;
use std::sync::Arc;

use super::{Credentials, Guard, Means, Principal};
use crate::domain::user::Session;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// The proof that the user sends the token of a session: the user and the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionGuard {
    principal: Arc<Principal>,
    session: Session,
}

impl Guard for SessionGuard {
    type Facts = Credentials;

    fn check(credentials: Credentials) -> Result<Self, Failure> {
        let principal = credentials.principal()?;
        match &principal.means {
            Means::Session(session) => Ok(Self { session: session.clone(), principal }),
            Means::ApiKey(_) | Means::AccessToken { .. } | Means::IssuerToken(_) => {
                Err(UnauthorizedAccessException::SessionRequired.into())
            }
        }
    }

    fn refusals() -> Vec<Failure> {
        let own = Failure::from(UnauthorizedAccessException::SessionRequired);
        Credentials::refusals().into_iter().chain([own]).collect()
    }
}

impl SessionGuard {
    /// Returns the session.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl Deref for SessionGuard {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::Role;

    #[test]
    fn an_api_key_is_not_a_session() {
        let refused = |credentials| SessionGuard::check(credentials).unwrap_err().status();
        assert_eq!(refused(Credentials::Missing), 401);
        assert_eq!(refused(Credentials::of(7, Role::Admin).by_api_key(&[])), 403);
        assert_eq!(SessionGuard::check(Credentials::of(7, Role::Customer)).unwrap().user_id().0.as_u128(), 7);
    }
}
