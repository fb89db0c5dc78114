//! How the outside reaches the store: HTTP and the command line.

pub mod cli;
pub mod http;
pub mod metrics;
pub mod telemetry;
