//! The head of a request could not be read.

use super::event_bus::Signal;

/// The server refused a request because its head is malformed or too large: a signal. It was refused before its route
/// and its method were known, so that there is no other signal of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedHeadEvent {
    /// Whether the head is longer than the server reads; otherwise it is malformed.
    pub is_too_large: bool,
}

impl Signal for RefusedHeadEvent {
    const TYPE: &'static str = "refused_head";
}
