//! The client is not authenticated (401), or not allowed to do this (403).
//!
//! A resource that the client may not see is a [`NotFound`](super::NotFound) instead.

use http::{HeaderName, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Exception, Failure, Kind, facts};
use crate::domain::ids::VariantId;
use crate::domain::permission::{Permission, Permissions};

/// Access is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum UnauthorizedAccessException {
    /// 401: the request has no credential.
    #[error("not logged in")]
    NotLoggedIn,
    /// 401: the token is unknown, expired or revoked.
    #[error("the token is not valid")]
    InvalidToken,
    /// 401: the e-mail address or the password is wrong, or the address has to be verified first; which of them is not
    /// disclosed.
    #[error("wrong credentials")]
    WrongCredentials,
    /// 401: the password is right, and the account also requires a one-time password or a recovery code.
    #[error("a one-time password is required")]
    OneTimePasswordRequired,
    /// 401: the one-time password or the recovery code is wrong, or was used.
    #[error("wrong one-time password")]
    WrongOneTimePassword,
    /// 403: another site made the browser send the request with the user's cookie.
    #[error("sent by another site")]
    ForeignOrigin,
    /// 403: the user is not allowed to do this.
    #[error("not allowed")]
    NotAllowed,
    /// 403: the administrator does not have this permission. The reason is that of [`Self::NotAllowed`].
    #[error("the permission {0} is missing")]
    #[serde(rename = "not_allowed")]
    MissingPermission(#[serde(skip)] Permission),
    /// 403: a credential other than a session was sent for what requires a session, such as a new password.
    #[error("requires a session")]
    SessionRequired,
    /// 403: an access token, or a token of the identity provider, was sent for what administrators do: the first goes
    /// to other services, and the second does not prove a one-time password.
    #[error("requires a session or an API key")]
    SessionOrApiKeyRequired,
    /// 403: an API key that only reads was sent with a method that may change something.
    #[error("the API key only reads")]
    ReadOnlyKey,
    /// 403: the product has a minimum age, and the user is younger.
    #[error("below the minimum age")]
    AgeRestricted(#[serde(skip)] AgeRestriction),
    /// 403: the product has a minimum age, and the shopper is a guest or has given no birth date.
    #[error("the age is not known")]
    BirthDateRequired(#[serde(skip)] AgeRestriction),
    /// 403: only users who bought a product may review it.
    #[error("not a buyer")]
    NotBought,
    /// 403: the store requires a verified e-mail address, and that of the user is not verified.
    #[error("the e-mail address is not verified")]
    EmailNotVerified,
    /// 403: the store requires one-time passwords of administrators, and the user has not enrolled an app.
    #[error("the administrator has no one-time passwords")]
    OneTimePasswordsNotEnrolled,
    /// 403: an administrator switched the feature off, for all users or for this one.
    #[error("the feature is off")]
    FeatureOff,
}

/// What has a minimum age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgeRestriction {
    /// The variant that is restricted.
    pub variant_id: VariantId,
    /// The minimum age in years, in the country of the delivery.
    pub minimum_age: i64,
}

impl AgeRestriction {
    /// An example, for the API document.
    pub(crate) const EXAMPLE: Self = Self { variant_id: VariantId(Uuid::nil()), minimum_age: 18 };
}

impl UnauthorizedAccessException {
    /// Fails with [`Self::MissingPermission`] for the first of the required permissions that is not among those held.
    pub fn check_permissions(
        held: Permissions,
        required: impl IntoIterator<Item = Permission>,
    ) -> Result<(), Failure> {
        match required.into_iter().find(|&permission| !held.contains(permission)) {
            Some(missing) => Err(Self::MissingPermission(missing).into()),
            None => Ok(()),
        }
    }
}

impl Exception for UnauthorizedAccessException {
    fn code(&self) -> &'static str {
        "unauthorized_access"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotLoggedIn
            | Self::InvalidToken
            | Self::WrongCredentials
            | Self::OneTimePasswordRequired
            | Self::WrongOneTimePassword => StatusCode::UNAUTHORIZED,
            _ => StatusCode::FORBIDDEN,
        }
    }

    fn details(&self) -> Map<String, Value> {
        let missing = match self {
            Self::MissingPermission(permission) => json!(permission),
            _ => Value::Null,
        };
        let age = match self {
            Self::AgeRestricted(restriction) | Self::BirthDateRequired(restriction) => Some(restriction),
            _ => None,
        };
        facts([
            ("reason", json!(self)),
            ("permission", missing),
            ("variant_id", json!(age.map(|age| age.variant_id))),
            ("minimum_age", json!(age.map(|age| age.minimum_age))),
        ])
    }

    // RFC 9110 section 11.6.1 requires the challenge with every 401; RFC 6750 section 3 defines its parameters.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let challenge = match self {
            Self::InvalidToken => r#"Bearer realm="undercroft", error="invalid_token""#,
            Self::NotLoggedIn
            | Self::WrongCredentials
            | Self::OneTimePasswordRequired
            | Self::WrongOneTimePassword => r#"Bearer realm="undercroft""#,
            _ => return Vec::new(),
        };
        vec![(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::Resource;

    #[test]
    fn the_first_permission_that_is_missing_is_named() {
        let (read, write) = (Permission::read(Resource::Orders), Permission::write(Resource::Orders));
        let held: Permissions = [read].into_iter().collect();
        let check = |required: &[Permission]| {
            let checked = UnauthorizedAccessException::check_permissions(held, required.iter().copied());
            checked.map_err(|failure| failure.downcast_ref::<UnauthorizedAccessException>().copied())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[read]), Ok(()));
        let refunds = Permission::write(Resource::Refunds);
        let missing = Some(UnauthorizedAccessException::MissingPermission(write));
        assert_eq!(check(&[read, write, refunds]), Err(missing));
    }
}
