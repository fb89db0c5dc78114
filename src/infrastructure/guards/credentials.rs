//! The credentials of a request: who sends it, as far as that is known.

use std::sync::Arc;

use crate::domain::ids::UserId;
use crate::domain::permission::Permissions;
use crate::domain::user::{Role, Session, User};
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// A user with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: User,
    /// The session.
    pub session: Session,
    /// What the user may do as an administrator.
    pub permissions: Permissions,
}

impl Principal {
    /// Returns a user with a session, who has all permissions as an administrator and none as a customer.
    pub fn new(user: User, session: Session) -> Self {
        let permissions = match user.role {
            Role::Admin => Permissions::ALL,
            Role::Customer => Permissions::NONE,
        };
        Self { user, session, permissions }
    }
}

/// The credentials of a request. Clones share the principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The request has none: a guest.
    Missing,
    /// The session has ended, or there never was one.
    Invalid,
    /// Those of a user.
    Valid(Arc<Principal>),
}

impl Credentials {
    /// Returns the principal.
    ///
    /// # Errors
    ///
    /// [`UnauthorizedAccessException::NotLoggedIn`] and [`UnauthorizedAccessException::InvalidToken`].
    pub(super) fn principal(self) -> Result<Arc<Principal>, Failure> {
        match self {
            Self::Missing => Err(UnauthorizedAccessException::NotLoggedIn.into()),
            Self::Invalid => Err(UnauthorizedAccessException::InvalidToken.into()),
            Self::Valid(principal) => Ok(principal),
        }
    }

    /// Returns the id of the user, if there is one.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Self::Missing | Self::Invalid => None,
            Self::Valid(principal) => Some(principal.user.id),
        }
    }
}

#[cfg(test)]
impl Credentials {
    /// Returns the credentials of a new user of this role.
    pub(super) fn of(id: u128, role: Role) -> Self {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let user =
            User::new(UserId(uuid::Uuid::from_u128(id)), "ann@shop.example".into(), String::new(), role, now);
        let session = Session::new(Vec::new(), user.id, now, now);
        Self::Valid(Arc::new(Principal::new(user, session)))
    }
}
