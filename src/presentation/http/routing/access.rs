//! The principals that may call a route, and how they authenticate.

use utoipa::openapi::security::SecurityRequirement;

use super::{BEARER, COOKIE};
use crate::infrastructure::exceptions::UnauthorizedAccessException;
use crate::presentation::http::operation::OperationDescription;

/// The principals that may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone. No credential is verified.
    Public,
    /// Everyone. The credential of a user, if there is one, is verified.
    Anyone,
    /// Users, by a session, an API key, an access token or a token of the identity provider. Some routes take a session
    /// only.
    LoggedIn,
    /// Administrators, by the same; what a route permits then depends on the permissions of the credential.
    Admin,
}

impl Access {
    /// The ways to authenticate, in the API document.
    pub(super) fn security(self) -> Vec<SecurityRequirement> {
        let with = |name| SecurityRequirement::new(name, [""; 0]);
        match self {
            Self::Public => Vec::new(),
            Self::Anyone => vec![SecurityRequirement::default(), with(BEARER), with(COOKIE)],
            Self::LoggedIn | Self::Admin => vec![with(BEARER), with(COOKIE)],
        }
    }

    /// Adds the failures of reading a credential. A guard adds those of its check.
    pub(in crate::presentation::http) fn describe(self, description: &mut OperationDescription<'_>) {
        if self == Self::Public {
            return;
        }
        description.fails(UnauthorizedAccessException::InvalidToken);
        // another site may make a browser send the cookie, and an API key may only read
        if !description.is_safe() {
            description.fails(UnauthorizedAccessException::ForeignOrigin);
            description.fails(UnauthorizedAccessException::ReadOnlyKey);
        }
    }
}
