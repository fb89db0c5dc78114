//! Vendors that need no network. A store uses them until it has keys for real ones.

mod charges;
mod payments;
mod rules;

pub(super) use payments::SandboxPayments;
pub use rules::SANDBOX_RULES;
