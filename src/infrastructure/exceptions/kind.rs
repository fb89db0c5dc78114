//! The kinds of failures, by which use cases decide.

/// The kind of a failure. It is independent of the HTTP status, which is for rendering only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is malformed or breaks a rule of its own. The same request fails again.
    Invalid,
    /// The store refuses the request in its present state: sold out, declined, not allowed, not found. The same
    /// request fails until something else changes.
    Refused,
    /// The request is based on a state that has changed, or collides with another request. The client must read
    /// again first.
    Conflict,
    /// The same request may succeed when it is repeated: overloaded, timed out, still in progress.
    Retryable,
    /// A vendor failed or gave an unusable response.
    Vendor,
    /// A fault of the store itself, such as a constraint of the database that no use case checked.
    Internal,
}

impl Kind {
    /// Returns whether the cause is the request itself, and not its time, a vendor or the store.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Invalid | Self::Refused)
    }
}
