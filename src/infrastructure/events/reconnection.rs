//! The increasing wait after failures in a row.

use std::time::Duration;

use crate::domain::context::Context;

/// The longest wait after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// The number of failures after which the wait does not grow: at most half a minute.
const MAX_DOUBLINGS: u32 = 6;

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the wait after one more failure: the second half of it is random, so that processes that failed together
    /// do not retry together.
    pub(super) fn next(&mut self, context: &Context) -> Duration {
        let longest = FIRST * (1 << self.failures.min(MAX_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        let mut random = [0];
        context.ids.secret(&mut random);
        longest / 2 + longest / 2 * u32::from(random[0]) / 255
    }
}
