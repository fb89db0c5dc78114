//! Vendors that need no network: what a store uses until it has keys for real ones.

mod payments;

pub use payments::{Notice, SandboxPayments};
