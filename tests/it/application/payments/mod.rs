//! Payments and their operations: every amount is captured, returned and credited once, whatever fails.

mod late_responses;
mod ledger;
mod recovery;
mod sandbox;
mod slow_providers;

/// The first time of tests with a manual clock.
const START: &str = "2026-01-31T12:00:00Z";
