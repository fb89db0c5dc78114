//! The rooms.

mod cache;
mod events;
mod middleware;
mod repositories;
