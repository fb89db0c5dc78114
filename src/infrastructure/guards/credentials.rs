//! The credentials of a request: who sends it and by what, as far as that is known.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::api_key::ApiKey;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::permission::Permissions;
use crate::domain::user::{Session, User, UserData};
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};

/// A user, and by what the user authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: User,
    /// The version of the user's data when the credentials were verified.
    pub data_version: i64,
    /// By what the user authenticated.
    pub means: Means,
    /// What the user may do as an administrator by these means.
    pub permissions: Permissions,
    /// Whether the user has to enrol an authenticator app before acting as an administrator.
    pub must_enrol: bool,
}

/// By what a user authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// The token of a session.
    Session(Session),
    /// An API key.
    ApiKey(ApiKey),
    /// An access token.
    AccessToken {
        /// The session that was exchanged for it.
        session_id: SessionId,
    },
    /// A token of the identity provider.
    IssuerToken(IssuerToken),
}

/// A token of the identity provider that was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerToken {
    /// The identity provider.
    pub provider: String,
    /// The subject, which is linked to the user.
    pub subject: String,
    /// The time from which the token is not accepted, UTC.
    pub expires_at: Timestamp,
}

impl fmt::Debug for IssuerToken {
    /// Writes no claims, which are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The credentials of a request. Clones share the principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The request has none: a guest.
    Missing,
    /// The session has ended, the API key was revoked or has expired, or there never was one.
    Invalid,
    /// Those of a user.
    Valid(Arc<Principal>),
}

impl Principal {
    /// Returns a user, at a version of the user's data, with the permissions of an administrator. By an API key, the
    /// user has those that the key has, too.
    pub fn new((user, data_version): (User, i64), means: Means, permissions: Permissions) -> Self {
        let permissions = permissions.intersection(means.scopes());
        Self { user, data_version, permissions, means, must_enrol: false }
    }

    /// Returns the id of the user.
    pub fn user_id(&self) -> UserId {
        self.user.id
    }

    /// Returns the user's data as of the request.
    pub fn data(&self) -> UserData {
        UserData { user_id: self.user.id, version: self.data_version }
    }

    /// Returns the same principal. If one-time passwords are required of administrators, one without them has no
    /// permissions.
    #[must_use]
    pub fn with_one_time_passwords(self, are_required: bool) -> Self {
        let is_enrolled = self.user.totp_since.is_some();
        if !are_required || is_enrolled || self.permissions == Permissions::NONE {
            return self;
        }
        Self { permissions: Permissions::NONE, must_enrol: true, ..self }
    }

    /// Returns the session, if the user authenticated by one.
    pub fn session(&self) -> Option<&Session> {
        match &self.means {
            Means::Session(session) => Some(session),
            Means::ApiKey(_) | Means::AccessToken { .. } | Means::IssuerToken(_) => None,
        }
    }
}

impl Means {
    /// Returns the permissions that these means allow at most.
    pub fn scopes(&self) -> Permissions {
        match self {
            Self::Session(_) | Self::AccessToken { .. } => Permissions::ALL,
            Self::ApiKey(api_key) => api_key.scopes,
            // it does not prove a one-time password
            Self::IssuerToken(_) => Permissions::NONE,
        }
    }

    /// Returns whether these means only read.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::ApiKey(api_key) if api_key.read_only)
    }
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

    /// Returns the failures of [`Credentials::principal`].
    pub(super) fn refusals() -> [Failure; 2] {
        [UnauthorizedAccessException::NotLoggedIn, UnauthorizedAccessException::InvalidToken]
            .map(Failure::from)
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
    pub(super) fn of(id: u128, role: crate::domain::user::Role) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let user =
            User::new(UserId(uuid::Uuid::from_u128(id)), "ann@shop.example".into(), String::new(), role, now);
        let session = Session::new(Vec::new(), user.id, now, now);
        let permissions = user.permissions(None);
        Self::Valid(Arc::new(Principal::new((user, 0), Means::Session(session), permissions)))
    }

    /// Returns the same user with an API key of these scopes.
    pub(super) fn by_api_key(self, scopes: &[crate::domain::permission::Permission]) -> Self {
        let Self::Valid(principal) = self else { return self };
        let user = principal.user.clone();
        let api_key = ApiKey {
            id: crate::domain::ids::ApiKeyId(uuid::Uuid::nil()),
            user_id: user.id,
            name: "Warehouse".into(),
            hint: String::new(),
            key_hash: Vec::new(),
            scopes: scopes.iter().copied().collect(),
            read_only: false,
            created_at: user.created_at,
            expires_at: None,
            last_used_at: None,
        };
        Self::Valid(Arc::new(Principal::new((user, 0), Means::ApiKey(api_key), principal.permissions)))
    }
}
