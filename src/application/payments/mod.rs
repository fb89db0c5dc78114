//! Payments: asking the vendor, applying its answers, moving money back, recovery.

pub mod apply_payment;
pub mod confirmation;
pub mod gateway_calls;
pub mod recovery;
pub mod settlement;
