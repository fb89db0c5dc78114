//! The rooms.

mod events;
mod repositories;
