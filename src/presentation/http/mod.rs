//! The HTTP API.

pub mod server;
