//! Payments: calling the providers, applying their outcomes, voids and refunds of cancelled orders, recovery.
//!
//! Calls go one way: `recovery` and the use cases of selling and subscriptions → `gateway_calls` → `apply_payment` →
//! `effects` → `placed_orders`, `invoicing` and `subscription_periods`.

pub mod apply_payment;
pub mod confirmation;
mod effects;
pub mod gateway_calls;
pub(crate) mod invoicing;
pub(crate) mod placed_orders;
pub mod provider_scope;
pub mod recovery;
pub(crate) mod subscription_periods;
