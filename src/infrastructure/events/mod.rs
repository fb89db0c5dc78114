//! The events room.
