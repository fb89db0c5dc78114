//! The rooms.

mod adapters;
mod cache;
mod events;
mod middleware;
mod repositories;
