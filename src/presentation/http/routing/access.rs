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
    /// Returns the principals that may call a route for which they have to be among these and those of another guard.
    pub(in crate::presentation::http) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Admin, _) | (_, Self::Admin) => Self::Admin,
            (Self::LoggedIn, _) | (_, Self::LoggedIn) => Self::LoggedIn,
            (Self::Anyone, _) | (_, Self::Anyone) => Self::Anyone,
            (Self::Public, Self::Public) => Self::Public,
        }
    }

    /// Returns the principals that may call a route for which they have to be among these or those of another guard.
    ///
    /// A route of administrators requires a permission, and records who calls it; one of others does neither. No route
    /// does so for some of its principals: a guard of administrators has no alternative for others, and the route with
    /// such a one does not compile.
    pub(in crate::presentation::http) const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Public, Self::Public) => Self::Public,
            (Self::LoggedIn, Self::LoggedIn) => Self::LoggedIn,
            (Self::Admin, Self::Admin) => Self::Admin,
            (Self::Admin, _) | (_, Self::Admin) => {
                panic!("a guard of administrators and one of others: write two routes")
            }
            (Self::Public | Self::Anyone | Self::LoggedIn, Self::Public | Self::Anyone | Self::LoggedIn) => {
                Self::Anyone
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn two_guards_are_for_the_fewer_principals_in_either_order() {
        let all = [Access::Public, Access::Anyone, Access::LoggedIn, Access::Admin];
        for (first, one) in all.iter().enumerate() {
            for (second, other) in all.iter().enumerate() {
                assert_eq!(one.and(*other), all[first.max(second)], "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn one_of_two_guards_is_for_the_principals_of_both_in_either_order() {
        use Access::{Admin, Anyone, LoggedIn, Public};
        for same in [Public, Anyone, LoggedIn, Admin] {
            assert_eq!(same.or(same), same);
        }
        // the credential that one of them verifies makes the responses private
        for (one, other) in [(Public, Anyone), (Public, LoggedIn), (Anyone, LoggedIn)] {
            assert_eq!((one.or(other), other.or(one)), (Anyone, Anyone), "{one:?} or {other:?}");
        }
    }

    #[test]
    fn a_guard_of_administrators_has_no_alternative_for_others() {
        for other in [Access::Public, Access::Anyone, Access::LoggedIn] {
            for (one, other) in [(Access::Admin, other), (other, Access::Admin)] {
                assert!(catch_unwind(|| one.or(other)).is_err(), "{one:?} or {other:?}");
            }
        }
    }
}
