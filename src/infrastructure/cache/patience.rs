//! How long Redis is waited for, and when one that responds is too slow to be of use.

use std::time::Duration;

use tokio::time::Instant;

/// The slow responses in succession that are too many.
const TOO_MANY: u32 = 8;
/// How soon after its return a Redis that fails again is asked later than the time before.
const SOON: Duration = Duration::from_secs(5);

/// How long Redis is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for the response to a command.
    pub response: Duration,
    /// The time from which on a response is slow. After eight slow ones in succession, no command waits for Redis until
    /// it is fast again, as if it had not responded. `None` if Redis is waited for however slow it is.
    pub slow: Option<Duration>,
    /// The wait before a Redis that had no response, or was too slow, is asked whether it responds again.
    pub pause: Duration,
    /// The longest such wait. It is doubled each time that Redis fails within five seconds after it responded again:
    /// one that responds to `PING`, and not to more, is seldom waited for.
    pub longest_pause: Duration,
    /// Whether a command is sent again, within the same time, if its connection was closed: it must be of no importance
    /// whether it is run twice.
    pub sends_again: bool,
}

/// What is known of how fast a Redis responds, and of how long it was not used.
#[derive(Debug, Default)]
pub(super) struct Responses {
    /// The slow responses since the last fast one.
    slow: u32,
    /// When the last of them came.
    last_slow: Option<Instant>,
    /// The last pause.
    pause: Duration,
    /// When Redis responded again after it.
    returned_at: Option<Instant>,
}

impl Default for Patience {
    /// The patience with what the store can do without.
    fn default() -> Self {
        Self {
            response: Duration::from_millis(250),
            slow: Some(Duration::from_millis(100)),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            sends_again: false,
        }
    }
}

impl Patience {
    /// Returns whether a response that took this long is slow.
    pub(super) fn is_slow(&self, took: Duration) -> bool {
        self.slow.is_some_and(|slow| took >= slow)
    }
}

impl Responses {
    /// Counts a response that came to a command which was sent at a time; returns whether too many were slow. Of the
    /// slow responses to commands that waited at the same time, one counts.
    pub(super) fn is_too_slow(&mut self, sent: Instant, came: Instant, patience: &Patience) -> bool {
        if !patience.is_slow(came.duration_since(sent)) {
            self.slow = 0;
        } else if self.last_slow.is_none_or(|last| sent >= last) {
            self.slow += 1;
            self.last_slow = Some(came);
        }
        self.slow >= TOO_MANY
    }

    /// Returns the pause of a Redis that is not used from now on.
    pub(super) fn next_pause(&mut self, now: Instant, patience: &Patience) -> Duration {
        let is_soon = self.returned_at.is_some_and(|at| now.duration_since(at) < SOON);
        let doubled = self.pause.saturating_mul(2).min(patience.longest_pause);
        self.pause = if is_soon { doubled } else { patience.pause };
        self.pause
    }

    /// Records that Redis responds again, and is fast.
    pub(super) fn return_at(&mut self, now: Instant) {
        *self = Self { pause: self.pause, returned_at: Some(now), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_responses_one_after_the_other_are_too_many_and_those_at_the_same_time_are_one() {
        let (patience, slow, fast) =
            (Patience::default(), Duration::from_millis(100), Duration::from_millis(99));
        let (mut responses, mut now) = (Responses::default(), Instant::now());
        let mut take = |took: Duration, commands: usize| {
            let came = now + took;
            let mut is_too_slow = false;
            for _ in 0..commands {
                is_too_slow = responses.is_too_slow(now, came, &patience);
            }
            now = came;
            is_too_slow
        };
        assert!((0..7).all(|_| !take(slow, 100)));
        assert!(!take(fast, 1) && (0..7).all(|_| !take(slow, 1)), "a fast one ends the succession");
        assert!(take(slow, 1));

        let endless = Patience { slow: None, ..patience };
        let mut responses = Responses::default();
        assert!((0..20).all(|_| !responses.is_too_slow(now, now + Duration::from_mins(1), &endless)));
    }

    #[test]
    fn the_pause_is_doubled_as_long_as_redis_fails_soon_after_its_return() {
        let (mut responses, mut now) = (Responses::default(), Instant::now());
        let mut fail_after = |used: u64| {
            now += Duration::from_secs(used);
            let pause = responses.next_pause(now, &Patience::default());
            now += pause;
            responses.return_at(now);
            pause.as_secs()
        };
        assert_eq!([0, 4, 1, 0, 4, 4, 4].map(&mut fail_after), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!([5, 1].map(fail_after), [1, 2]);
    }
}
