//! The HTTP API.

mod document;
pub mod json;
pub mod query;
pub mod schema;
pub mod server;
