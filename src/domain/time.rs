//! Arithmetic with instants.

use jiff::{SignedDuration, Timestamp};

/// Returns whether the store accepts an instant that was given to it: not one before 1970. Not every database can store
/// all of them.
pub(crate) fn is_accepted(at: Timestamp) -> bool {
    at >= Timestamp::UNIX_EPOCH
}

/// Returns the instant `span` after `at`, at most [`Timestamp::MAX`].
pub(crate) fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// Returns the instant `span` before `at`, at least [`Timestamp::MIN`].
pub(crate) fn earlier(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}
