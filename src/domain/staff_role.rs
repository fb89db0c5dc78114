//! Roles of the staff: what some administrators may do.

use jiff::Timestamp;

use super::permission::Permissions;

/// A role, which administrators have who may not do everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffRole {
    /// The name.
    pub name: String,
    /// The description, for administrators.
    pub description: String,
    /// What administrators with the role may do.
    pub permissions: Permissions,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

impl StaffRole {
    /// Returns whether a text can be the name of a role: 1 to 100 small letters, digits, `.`, `_` and `-`, and not dots
    /// alone, which clients remove from the path of a URL.
    pub fn is_name(text: &str) -> bool {
        let is_allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        text.len() <= 100 && text.chars().all(is_allowed) && text.chars().any(|c| c != '.')
    }
}
