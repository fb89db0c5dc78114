//! The use cases.

mod audit;
mod catalogue;
mod consistency;
mod demo;
mod emails;
mod export;
mod import;
mod jobs;
mod json_lines;
mod payments;
pub mod people;
mod selling;
mod stored_responses;
mod subscriptions;
