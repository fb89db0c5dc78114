//! Vendors that need no network. A store uses them until it has keys for real ones.

mod charges;
mod payments;

pub(super) use payments::SandboxPayments;
