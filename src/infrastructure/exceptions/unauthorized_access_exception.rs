//! The client is not authenticated (401), or not allowed to do this (403).
//!
//! A resource that the client may not see is a [`NotFound`](super::NotFound) instead.

use http::{HeaderName, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::permission::Permission;

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
    /// 401: the e-mail address or the password is wrong; which one is not disclosed.
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
    /// 403: an access token was sent for what administrators do: it goes to other services, and has no permission.
    #[error("requires a session or an API key")]
    SessionOrApiKeyRequired,
    /// 403: an API key that only reads was sent with a method that may change something.
    #[error("the API key only reads")]
    ReadOnlyKey,
    /// 403: the product has a minimum age, and the shopper is younger or has given no birth date.
    #[error("below the minimum age")]
    AgeRestricted,
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
        facts([("reason", json!(self)), ("permission", missing)])
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
