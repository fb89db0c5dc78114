//! The generic cell rate algorithm (ITU-T I.371), in whole microseconds.
//!
//! The number of a key is the time at which all that was counted is over: each adds the interval of the quota to it,
//! and none may move it further than the whole quota into the future. A number in the past is the same as none.

use std::time::Duration;

use super::quota::Quota;
use crate::infrastructure::exceptions::RejectedRequest;

/// What a limit decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it was counted.
    pub is_allowed: bool,
    /// The time until all that was counted is over, in microseconds.
    pub(super) pending: i64,
}

impl Decision {
    /// Returns a decision of a store of another package: whether one was counted, and the time from now until all that
    /// was counted is over, rounded up to a whole microsecond.
    pub fn new(is_allowed: bool, pending: Duration) -> Self {
        let micros = pending.as_nanos().div_ceil(1_000);
        Self { is_allowed, pending: i64::try_from(micros).unwrap_or(i64::MAX) }
    }

    /// Fails if it was not counted, with the time until one more is allowed.
    ///
    /// # Errors
    ///
    /// [`RejectedRequest::TooMany`].
    pub fn check(self, quota: Quota) -> Result<(), RejectedRequest> {
        if self.is_allowed {
            return Ok(());
        }
        Err(RejectedRequest::TooMany { retry_after: self.retry_after(quota) })
    }

    /// How many more are allowed now.
    pub fn remaining(self, quota: Quota) -> u32 {
        u32::try_from((quota.full() - self.pending).max(0) / quota.interval()).unwrap_or(0)
    }

    /// The seconds until one more is allowed, rounded up.
    pub fn retry_after(self, quota: Quota) -> u64 {
        seconds(self.pending - quota.full() + quota.interval())
    }

    /// The seconds until the whole quota is allowed, rounded up.
    pub fn reset_after(self) -> u64 {
        seconds(self.pending)
    }
}

/// Counts one at `now`; returns the decision, and the number of the key to keep if it changes.
pub(super) fn count(kept: Option<i64>, now: i64, quota: Quota) -> (Decision, Option<i64>) {
    let until = until(kept, now, quota);
    let next = until + quota.interval();
    if next - now > quota.full() {
        let is_after_clock = kept.is_some_and(|kept| kept > until);
        return (Decision { is_allowed: false, pending: until - now }, is_after_clock.then_some(until));
    }
    (Decision { is_allowed: true, pending: next - now }, Some(next))
}

/// Takes one back at `now`; returns the number of the key to keep, `None` if nothing is counted.
pub(super) fn uncount(kept: Option<i64>, now: i64, quota: Quota) -> Option<i64> {
    let until = until(kept, now, quota) - quota.interval();
    (until > now).then_some(until)
}

/// The time at which all that was counted is over. After the clock was set back, it is not further than the whole
/// quota, which is kept, so that it passes.
fn until(kept: Option<i64>, now: i64, quota: Quota) -> i64 {
    kept.unwrap_or(now).clamp(now, now + quota.full())
}

fn seconds(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000)
}
