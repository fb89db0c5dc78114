//! The caller may not do this: not known (401), or known and not allowed (403).
//!
//! A thing that the caller may not even know of is a [`NotFound`](super::NotFound) instead.

use http::{HeaderName, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};

/// Access is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum UnauthorizedAccessException {
    /// 401: nobody is signed in.
    #[error("not signed in")]
    NotSignedIn,
    /// 401: the token is unknown, expired or revoked.
    #[error("the token is not valid")]
    InvalidToken,
    /// 401: e-mail address or password is wrong; which of them is not told.
    #[error("wrong credentials")]
    WrongCredentials,
    /// 403: another site made the browser send this with the user's cookie.
    #[error("sent by another site")]
    ForeignOrigin,
    /// 403: signed in, and still not allowed.
    #[error("not allowed")]
    NotAllowed,
    /// 403: the goods have a minimum age, and the buyer has not shown that they have reached it.
    #[error("below the minimum age")]
    AgeRestricted,
    /// 403: only who has bought something may say how it is.
    #[error("not a buyer")]
    NotBought,
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
            Self::ForeignOrigin | Self::NotAllowed | Self::AgeRestricted | Self::NotBought => {
                StatusCode::FORBIDDEN
            }
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    fn details(&self) -> Map<String, Value> {
        facts([("reason", json!(self))])
    }

    // RFC 9110 section 11.6.1 asks for the challenge on every 401; RFC 6750 section 3 has its words.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let challenge = match self {
            Self::ForeignOrigin | Self::NotAllowed | Self::AgeRestricted | Self::NotBought => {
                return Vec::new();
            }
            Self::InvalidToken => r#"Bearer realm="undercroft", error="invalid_token""#,
            Self::NotSignedIn | Self::WrongCredentials => r#"Bearer realm="undercroft""#,
        };
        vec![(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]
    }
}
