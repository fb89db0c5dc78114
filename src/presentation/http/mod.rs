//! The HTTP API: routes, request and response bodies, validation and the API document.

pub mod bodies;
pub mod body_limit;
pub mod conditional;
mod document;
mod event_stream;
mod file_content;
pub mod idempotency_key;
pub mod json;
pub mod languages;
mod last_event_id;
pub mod list;
pub mod middleware;
mod observe;
pub mod openapi;
pub mod operation;
pub mod order_token;
pub mod principal;
mod problems;
pub mod query;
mod range;
mod rate_classes;
pub mod response;
pub mod router;
pub mod routes;
pub mod routing;
pub mod server;
pub mod state;
