//! Random times and choices.

use std::time::Duration;

use crate::domain::context::Context;

/// Returns a random time of at most this many milliseconds.
pub(super) fn random(context: &Context, most: u64) -> Duration {
    Duration::from_millis(random_below(context, most.saturating_add(1)))
}

/// Returns a random number below a limit; 0 if that is 0.
pub(super) fn random_below(context: &Context, limit: u64) -> u64 {
    let mut bytes = [0; 8];
    context.ids.secret(&mut bytes);
    u64::from_ne_bytes(bytes) % limit.max(1)
}

/// Returns a random index of something with this length.
pub(super) fn random_index(context: &Context, length: usize) -> usize {
    usize::try_from(random_below(context, length as u64)).unwrap_or_default()
}
