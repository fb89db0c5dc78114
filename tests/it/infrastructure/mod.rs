//! The rooms.

mod events;
mod middleware;
mod repositories;
