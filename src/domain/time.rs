//! Arithmetic with instants.

use jiff::{SignedDuration, Timestamp};

/// Returns the instant `span` after `at`, at most [`Timestamp::MAX`].
pub(crate) fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
