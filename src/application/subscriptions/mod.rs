//! Subscriptions and their renewals. Their periods are paid and failed by the
//! [payments](super::payments) of the orders that charge them.

pub mod lifecycle;
pub mod queries;
pub mod renewals;
