//! Undercroft: a headless commerce store, and its infrastructure as a library.
//!
//! The binary `undercroft` is the store. A Rust service that needs only a part uses this library:
//!
//! - [`infrastructure`] holds the rooms, each of which can be used alone: typed errors with RFC 9457 responses
//!   ([`infrastructure::exceptions`]), a database with units of work on SQLite or PostgreSQL
//!   ([`infrastructure::repositories`]), durable events ([`infrastructure::events`]), caches that are dropped by tags
//!   ([`infrastructure::cache`]), payment providers behind a port ([`infrastructure::adapters`]), checks whose success
//!   a handler gets as an argument ([`infrastructure::guards`]), and what surrounds the routes of any axum router
//!   ([`infrastructure::middleware`]).
//! - [`domain`] holds what a store knows: ids, money, products, orders, payments, and the rules of pricing and of state
//!   changes. It does no I/O.
//! - [`application`] holds the use cases. They take an [`application::Store`], which combines the rooms with the
//!   merchant's terms.
//! - [`presentation`] holds the HTTP API and the command line, [`settings`] what the binary reads at the start.
//!
//! A handler of any axum service takes the proof of a guard by [`presentation::http::guarded`], and a service that adds
//! its routes to [`presentation::http::routing::Routes`] does not compile with one that has no policy.
//!
//! CONTRIBUTING.md says how to depend on it, and which example shows which room.
//!
//! Open a database with [`infrastructure::repositories::Database::open`], and write with its `write`, which runs an
//! asynchronous closure in a transaction; the documentation of each room's module is its guide.
//! `docs/ARCHITECTURE.md` is the map of the whole, and `docs/GLOSSARY.md` defines the words.

pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod presentation;
pub mod settings;
