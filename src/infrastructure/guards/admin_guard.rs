//! The user is an administrator with the permission that the route requires. What else a request does, such as a
//! refund, is checked by its use case.

use std::ops::Deref;
use std::sync::Arc;

use super::{Credentials, Guard, Means, Principal};
use crate::domain::permission::{Permission, Resource};
use crate::domain::user::Role;
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// The credentials of a request, and the permission that it requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminFacts {
    /// The credentials.
    pub credentials: Credentials,
    /// The permission.
    pub required: Permission,
}

/// The proof that the user is an administrator with the required permission: the user, and by what the user
/// authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminGuard {
    principal: Arc<Principal>,
    permission: Permission,
}

impl Guard for AdminGuard {
    type Facts = AdminFacts;

    fn check(AdminFacts { credentials, required }: AdminFacts) -> Result<Self, Failure> {
        let principal = credentials.principal()?;
        match principal.user.role {
            Role::Admin if principal.must_enrol => {
                Err(UnauthorizedAccessException::OneTimePasswordsNotEnrolled.into())
            }
            Role::Admin if matches!(principal.means, Means::AccessToken { .. } | Means::IssuerToken(_)) => {
                Err(UnauthorizedAccessException::SessionOrApiKeyRequired.into())
            }
            Role::Admin => {
                UnauthorizedAccessException::check_permissions(principal.permissions, [required])?;
                Ok(Self { principal, permission: required })
            }
            Role::Customer => Err(UnauthorizedAccessException::NotAllowed.into()),
        }
    }

    fn refusals() -> Vec<Failure> {
        use UnauthorizedAccessException as U;
        let missing = U::MissingPermission(Permission::read(Resource::Orders));
        let own = [U::NotAllowed, U::OneTimePasswordsNotEnrolled, U::SessionOrApiKeyRequired, missing];
        Credentials::refusals().into_iter().chain(own.map(Failure::from)).collect()
    }
}

impl AdminGuard {
    /// Returns the permission that was required.
    pub fn permission(&self) -> Permission {
        self.permission
    }
}

impl Deref for AdminGuard {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{SessionId, UserId};
    use crate::domain::permission::Permissions;
    use crate::infrastructure::guards::IssuerToken;

    const REQUIRED: Permission = Permission::write(Resource::Orders);

    /// Checks credentials with these permissions, if they have a user; returns the status and the reason.
    fn check(mut credentials: Credentials, permissions: Permissions) -> Result<UserId, (u16, String)> {
        if let Credentials::Valid(principal) = &mut credentials {
            Arc::get_mut(principal).unwrap().permissions = permissions;
        }
        let checked = AdminGuard::check(AdminFacts { credentials, required: REQUIRED });
        checked.map(|proof| proof.user_id()).map_err(|failure| {
            let missing = failure.details().get("permission").map_or_else(String::new, ToString::to_string);
            (failure.status().as_u16(), missing)
        })
    }

    #[test]
    fn an_administrator_needs_the_permission_and_a_customer_is_refused() {
        let exactly: Permissions = [REQUIRED].into_iter().collect();
        let others: Permissions = Permission::all().filter(|&other| other != REQUIRED).collect();
        assert_eq!(check(Credentials::Missing, exactly).unwrap_err().0, 401);
        assert_eq!(check(Credentials::Invalid, exactly).unwrap_err().0, 401);
        assert_eq!(check(Credentials::of(1, Role::Customer), Permissions::ALL), Err((403, String::new())));
        for enough in [exactly, Permissions::ALL] {
            assert_eq!(check(Credentials::of(7, Role::Admin), enough).unwrap().0.as_u128(), 7);
        }
        for missing in [others, Permissions::NONE] {
            let refused = (403, "\"orders:write\"".to_owned());
            assert_eq!(check(Credentials::of(7, Role::Admin), missing), Err(refused));
        }
    }

    #[test]
    fn a_token_for_other_services_or_of_the_issuer_is_the_wrong_credential() {
        let Credentials::Valid(principal) = Credentials::of(7, Role::Admin) else { panic!() };
        let (provider, subject) = ("https://login.example".to_owned(), "root".to_owned());
        let of_issuer = IssuerToken { provider, subject, expires_at: jiff::Timestamp::MAX };
        for means in
            [Means::AccessToken { session_id: SessionId(uuid::Uuid::nil()) }, Means::IssuerToken(of_issuer)]
        {
            let principal =
                Principal { means, permissions: Permissions::ALL, ..Principal::clone(&principal) };
            let facts =
                AdminFacts { credentials: Credentials::Valid(Arc::new(principal)), required: REQUIRED };
            let refused = AdminGuard::check(facts).unwrap_err();
            assert_eq!(
                (refused.status().as_u16(), &refused.details()["reason"]),
                (403, &"session_or_api_key_required".into())
            );
        }
    }
}
