//! The eight rooms.

pub mod events;
pub mod exceptions;
pub mod repositories;
