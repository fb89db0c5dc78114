//! One binary of integration tests, one module a capability.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic, its helpers too")]

mod architecture;
mod cli;
mod database;
mod events;
mod http;
mod import_readers;
mod importing;
mod money;
mod people;
mod pricing;
mod repositories;
mod repositories_catalogue;
mod selling;
mod server;
mod shopkeeping;
mod support;
mod torture;
mod validation;
