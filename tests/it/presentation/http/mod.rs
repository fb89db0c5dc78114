//! The HTTP API: its operations, their documentation, the checks of requests, and the server.

mod access;
mod carts;
mod clients;
mod coded_bodies;
mod contract;
mod cross_origin;
mod dead_letters;
mod entity_tags;
mod event_stream;
mod events;
mod examples;
mod feature_flags;
mod files;
mod framework;
mod fuzz;
mod jobs;
mod partial_updates;
mod products;
mod rate_limits;
mod selling;
mod server;
mod shown_totals;
mod signals;
mod successes;
mod validation;
mod webhooks;
