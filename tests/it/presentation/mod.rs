//! The HTTP API and the command line.

mod cli;
mod http;
mod telemetry;
