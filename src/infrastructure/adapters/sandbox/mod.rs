//! Vendors that need no network: what a store uses until it has keys for real ones.

mod charges;
mod payments;

pub(super) use payments::SandboxPayments;
