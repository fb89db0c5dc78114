//! The payment provider `sandbox`, in which payments succeed without money and without a network.

mod charges;
mod payments;
mod rules;

pub(super) use payments::SandboxPayments;
pub use rules::SANDBOX_RULES;
