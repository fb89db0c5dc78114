//! The exceptions room.
