//! Subscriptions and their renewals.

pub mod lifecycle;
pub mod renewals;
