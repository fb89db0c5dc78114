//! There is no such user.
//!
//! For administrators, and for users about themselves. Login and password reset must not disclose whether an account
//! exists, and do not raise it.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::ids::UserId;

/// No user has this id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no user {id}")]
pub struct UserNotFoundException {
    /// The requested id.
    pub id: UserId,
}

impl Exception for UserNotFoundException {
    fn code(&self) -> &'static str {
        "user_not_found"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::NOT_FOUND
    }

    fn details(&self) -> Map<String, Value> {
        facts([("user_id", json!(self.id))])
    }
}
