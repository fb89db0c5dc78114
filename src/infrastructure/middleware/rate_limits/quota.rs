//! How many in which time.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The greatest number of a quota: Redis computes exactly with a day in these parts.
const MOST: u32 = 1_000_000;

/// How many in which time: so many at once, and after that one in each interval, which is the time by the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    window: Duration,
    /// The time of one, in microseconds.
    interval: i64,
}

/// A text is not a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither `none` nor a number up to 1000000 in a second, minute, hour or day, such as `60/minute`")]
pub struct InvalidQuota;

impl Quota {
    /// Returns a quota of `limit` in `window`. The limit is clamped to 1,000,000, and the window to a time from a
    /// second to a day. The interval is rounded up to a whole microsecond.
    pub fn new(limit: NonZeroU32, window: Duration) -> Self {
        let window = window.clamp(Duration::from_secs(1), Duration::from_hours(24));
        let limit = limit.get().min(MOST);
        let interval = window.as_micros().div_ceil(limit.into());
        Self { limit, window, interval: i64::try_from(interval).unwrap_or(i64::MAX) }
    }

    /// The number.
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// The time.
    pub fn window(self) -> Duration {
        self.window
    }

    /// The time of one, in microseconds, as a [`RateLimitStore`](super::RateLimitStore) computes: at least 1.
    pub fn interval(self) -> i64 {
        self.interval
    }

    /// The time of the whole number, in microseconds: [`interval`](Self::interval) by [`limit`](Self::limit), which may
    /// be up to a second longer than [`window`](Self::window), since the interval is rounded up.
    pub fn full(self) -> i64 {
        self.interval.saturating_mul(self.limit.into())
    }
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        let (limit, unit) = text.split_once('/').ok_or(InvalidQuota)?;
        let limit =
            limit.parse().ok().filter(|limit: &NonZeroU32| limit.get() <= MOST).ok_or(InvalidQuota)?;
        let seconds = match unit {
            "second" => 1,
            "minute" => 60,
            "hour" => 60 * 60,
            "day" => 24 * 60 * 60,
            _ => return Err(InvalidQuota),
        };
        Ok(Self::new(limit, Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_from_its_text() {
        let quota: Quota = "60/minute".parse().unwrap();
        assert_eq!(
            (quota.limit(), quota.window(), quota.interval()),
            (60, Duration::from_mins(1), 1_000_000)
        );
        assert_eq!("7/second".parse::<Quota>().unwrap().interval(), 142_858, "rounded up");
        for text in ["", "60", "0/minute", "-1/hour", "1000001/day", "60/week", "60 / minute", "1.5/second"] {
            assert_eq!(text.parse::<Quota>(), Err(InvalidQuota), "{text}");
        }
    }
}
