//! The repositories room.
