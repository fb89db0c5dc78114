//! A user.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::UserId;
use crate::domain::user::{Role, User};
use crate::presentation::http::response::{StoredResponse, tagged};

/// A user with an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    /// The id of the user.
    id: UserId,
    /// The e-mail address, as the user wrote it.
    email: String,
    /// The name; empty if the user gave none.
    name: String,
    /// The role: an `admin` may call the operations under `/admin/v1`.
    role: Role,
    /// The name of the role of the staff: an administrator with one has only its permissions.
    staff_role: Option<String>,
    /// The birth date.
    birth_date: Option<Date>,
    /// The time at which the e-mail address was verified.
    email_verified_at: Option<Timestamp>,
    /// The time since which logging in requires a one-time password; `null` if it does not.
    totp_since: Option<Timestamp>,
    /// The time at which the personal data of the user was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<Timestamp>,
    /// The time at which the user registered.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

impl UserBody {
    /// The response with this user.
    pub fn response(user: &User) -> StoredResponse {
        tagged(user.version, &Self::of(user))
    }

    /// The body of a user.
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role,
            staff_role: user.staff_role.clone(),
            birth_date: user.birth_date,
            email_verified_at: user.email_verified_at,
            totp_since: user.totp_since,
            erased_at: user.erased_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
