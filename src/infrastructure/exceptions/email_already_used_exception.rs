//! The e-mail address belongs to another account.
//!
//! This discloses that the account exists. Raise it where that is known anyway (registration, an administrator's form,
//! a user's change of their own address); never at login or password reset.

use http::StatusCode;

use super::{Exception, Kind};

/// The address is used by another account. The exception does not contain the address, so that none is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the e-mail address is already used")]
pub struct EmailAlreadyUsedException;

impl Exception for EmailAlreadyUsedException {
    fn code(&self) -> &'static str {
        "email_already_used"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::CONFLICT
    }
}
