//! Subscriptions and their renewals.
//!
//! Calls go one way: `lifecycle` and `renewals` → payments → `periods`.

pub mod lifecycle;
pub(crate) mod periods;
pub mod queries;
pub mod renewals;
