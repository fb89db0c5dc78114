//! Undercroft: the infrastructure of a commerce backend in eight rooms, and the headless store that stands on it.
//!
//! `docs/ARCHITECTURE.md` is the map. `domain` knows no I/O, `infrastructure` holds the rooms,
//! `application` the use cases, `presentation` the HTTP API and the command line.

pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod presentation;
pub mod settings;
