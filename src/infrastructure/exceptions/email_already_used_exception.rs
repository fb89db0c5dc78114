//! The e-mail address belongs to an account already.
//!
//! It betrays that the account exists. Raise it where that is known anyway (registration, an administrator's
//! form, a change of one's own address); never at log-in or password reset.

use http::StatusCode;

use super::{Exception, Kind};

/// The address is taken. It carries no address, so that none gets into a log.
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
