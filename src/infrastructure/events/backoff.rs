//! The increasing waits after failures. The second half of each is random, which spreads the attempts of what failed
//! together.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::context::Context;
use crate::domain::time::later;
use crate::infrastructure::repositories::UnitOfWork;

/// The longest wait after the first failed attempt of a handler or a job.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The number of failed attempts after which the wait does not grow: at most about 17 minutes.
const MOST_ATTEMPTS: i64 = 10;
/// The longest wait after the first failure of a connection.
const CONNECTION: Duration = Duration::from_millis(500);
/// The number of failures after which the wait for a connection does not grow: at most 4 seconds, so that
/// what was interrupted continues soon.
const MOST_FAILURES: u32 = 3;

/// Returns the time of the next attempt after `attempts` have failed: in 1 to 2 seconds, and twice as long after each
/// further one.
pub(super) fn retry_at(work: &UnitOfWork, attempts: i64) -> Timestamp {
    let mut random = [0];
    work.secret(&mut random);
    let longest = ATTEMPT * (1 << (attempts.clamp(1, MOST_ATTEMPTS) - 1));
    let wait = half_random(longest, random);
    later(work.now(), SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX))
}

/// Counts the failures in a row of a connection.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the wait after one more failure.
    pub(super) fn next(&mut self, context: &Context) -> Duration {
        let longest = CONNECTION * (1 << self.failures.min(MOST_FAILURES));
        self.failures = self.failures.saturating_add(1);
        let mut random = [0];
        context.ids.secret(&mut random);
        half_random(longest, random)
    }
}

fn half_random(longest: Duration, [random]: [u8; 1]) -> Duration {
    longest / 2 + longest / 2 * u32::from(random) / 255
}
