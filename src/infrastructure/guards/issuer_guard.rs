//! The user sends a token of the identity provider: an account there need not have a password of the store, without
//! which there is no session.

use std::ops::Deref;
use std::sync::Arc;

use super::{Credentials, Guard, Means, Principal};
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// The proof that the user sends a token of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerGuard {
    principal: Arc<Principal>,
}

impl Guard for IssuerGuard {
    type Facts = Credentials;

    /// Fails with [`UnauthorizedAccessException::SessionRequired`] for other credentials: what takes a token of the
    /// identity provider takes that of a session, too.
    fn check(credentials: Credentials) -> Result<Self, Failure> {
        let principal = credentials.principal()?;
        match &principal.means {
            Means::IssuerToken(_) => Ok(Self { principal }),
            Means::Session(_) | Means::ApiKey(_) | Means::AccessToken { .. } => {
                Err(UnauthorizedAccessException::SessionRequired.into())
            }
        }
    }

    fn refusals() -> Vec<Failure> {
        let own = Failure::from(UnauthorizedAccessException::SessionRequired);
        Credentials::refusals().into_iter().chain([own]).collect()
    }
}

impl Deref for IssuerGuard {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SessionId;
    use crate::domain::user::Role;
    use crate::infrastructure::guards::IssuerToken;

    #[test]
    fn a_token_of_the_issuer_is_neither_an_api_key_nor_an_access_token() {
        let by = |means: Means| {
            let Credentials::Valid(principal) = Credentials::of(7, Role::Customer) else { panic!() };
            IssuerGuard::check(Credentials::Valid(Arc::new(Principal {
                means,
                ..Principal::clone(&principal)
            })))
        };
        let token = IssuerToken {
            provider: "https://login.example".into(),
            subject: "ann".into(),
            expires_at: jiff::Timestamp::MAX,
        };
        assert_eq!(by(Means::IssuerToken(token)).unwrap().user.id.0.as_u128(), 7);
        let access_token = Means::AccessToken { session_id: SessionId(uuid::Uuid::nil()) };
        assert_eq!(by(access_token).unwrap_err().status(), 403);
        let refused = |credentials| IssuerGuard::check(credentials).unwrap_err().status();
        assert_eq!(refused(Credentials::Missing), 401);
        assert_eq!(refused(Credentials::of(7, Role::Customer).by_api_key(&[])), 403);
    }
}
