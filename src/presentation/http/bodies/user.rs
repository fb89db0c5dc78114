//! A user, as they and administrators see them.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::UserId;
use crate::domain::user::{Role, User};

/// A person with an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    /// Their id.
    id: UserId,
    /// Their address, as they wrote it.
    email: String,
    /// Their name; empty if they did not say it.
    name: String,
    /// What they may do.
    role: Role,
    /// When they were born.
    birth_date: Option<Date>,
    /// When they proved that the address is theirs.
    email_verified_at: Option<Timestamp>,
    /// When they were forgotten on request; nothing here says who they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<Timestamp>,
    /// When they registered.
    created_at: Timestamp,
    /// When they were last changed.
    updated_at: Timestamp,
}

impl UserBody {
    /// As they look outside.
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role,
            birth_date: user.birth_date,
            email_verified_at: user.email_verified_at,
            erased_at: user.erased_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
