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
