//! Payments: calling the providers, applying their outcomes, voids and refunds of cancelled orders, recovery.
//!
//! Calls go one way: `recovery` and the use cases of selling and subscriptions → `gateway_calls` → `apply_payment` →
//! `effects` and `placed_orders`.

pub mod apply_payment;
pub mod confirmation;
mod effects;
pub mod gateway_calls;
pub(crate) mod placed_orders;
pub mod provider_scope;
pub mod recovery;
