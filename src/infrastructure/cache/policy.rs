//! How a cache keeps its entries.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::context::Context;

/// What differs between caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The name, in metrics and in the keys of the shared store: no two caches of a service have the same.
    pub name: &'static str,
    /// The version of the shape of keys and values and of the kinds of tags. A process with another one does not read
    /// the entries of this one, nor does one with another release of this package. A service that has releases of its
    /// own increments it with each change of a load, too.
    pub shape: u32,
    /// How long an entry is fresh.
    pub ttl: Duration,
    /// The greatest part of `ttl` that is taken away from an entry at random, in percent, and of `pause`: entries that
    /// were loaded together do not end together.
    pub jitter_percent: u8,
    /// How long it is known that there is no value for a key; `None` if that is not kept. `stale` and `fail_safe` are
    /// for values.
    pub negative_ttl: Option<Duration>,
    /// How long before its end an entry that is read is loaded again in the background; zero for never. Its readers get
    /// it meanwhile, so those of a key that is read all the time wait only after a drop.
    pub eager: Duration,
    /// How long after its end an entry is served while it is loaded again; zero for never. A dropped entry never is.
    pub stale: Duration,
    /// How long after its load an entry is served if it cannot be loaded again, dropped or not; zero for never.
    pub fail_safe: Duration,
    /// How long a reader waits for a load while there is an entry that fail-safe allows.
    pub soft_timeout: Duration,
    /// How long an entry that may be served is not loaded again, from the moment at which such a load failed or its
    /// reader did not wait any more, unless it is dropped or the clock is set back meanwhile: a source that is away is
    /// asked for a key once in this time. A load that is slow goes on and is not begun again.
    pub pause: Duration,
    /// The longest time of a load, with the look into the shared store.
    pub hard_timeout: Duration,
    /// The most bytes of all entries of a process, as the cache weighs them.
    pub max_bytes: u64,
    /// Whether only one process at a time loads a key, if there is a shared store. The others wait for its entry, half
    /// of `hard_timeout` at most; then each loads for itself.
    pub is_dear: bool,
}

impl Policy {
    /// Returns the policy of a cache with 16 MiB, whose entries are fresh for a minute.
    pub const fn named(name: &'static str, shape: u32) -> Self {
        Self {
            name,
            shape,
            ttl: Duration::from_mins(1),
            jitter_percent: 10,
            negative_ttl: Some(Duration::from_secs(5)),
            eager: Duration::ZERO,
            stale: Duration::ZERO,
            fail_safe: Duration::ZERO,
            soft_timeout: Duration::from_millis(250),
            pause: Duration::from_secs(1),
            hard_timeout: Duration::from_secs(10),
            max_bytes: 16 << 20,
            is_dear: false,
        }
    }

    /// Returns how long an entry is fresh, with this random number.
    pub(super) fn fresh_for(&self, is_negative: bool, random: u32) -> Duration {
        self.shortened(if is_negative { self.negative_ttl.unwrap_or_default() } else { self.ttl }, random)
    }

    /// Returns how long an entry is not loaded again, with this random number.
    pub(super) fn pause_for(&self, random: u32) -> Duration {
        self.shortened(self.pause, random)
    }

    /// Takes a random part of a duration away, at most that of the jitter.
    fn shortened(&self, duration: Duration, random: u32) -> Duration {
        let parts = u32::from(self.jitter_percent.min(100));
        // in this order, so that the longest duration does not overflow
        let taken = (duration / 100 * parts).mul_f64(f64::from(random) / f64::from(u32::MAX));
        duration.saturating_sub(taken)
    }
}

/// The durations of a policy with which reads compare times, converted once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spans {
    pub(super) eager: SignedDuration,
    pub(super) stale: SignedDuration,
    pub(super) fail_safe: SignedDuration,
    pub(super) pause: SignedDuration,
}

impl Spans {
    pub(super) fn of(policy: &Policy) -> Self {
        let [eager, stale, fail_safe, pause] = [policy.eager, policy.stale, policy.fail_safe, policy.pause]
            .map(|duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX));
        Self { eager, stale, fail_safe, pause }
    }
}

/// The random numbers by which entries of a cache end at different times: multiples of the golden ratio after a random
/// one, which are spread evenly (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
pub(super) struct Jitter(AtomicU32);

impl Jitter {
    /// 2^32 divided by the golden ratio.
    const STEP: u32 = 0x9e37_79b9;

    pub(super) fn new(context: &Context) -> Self {
        let mut first = [0; 4];
        context.ids.secret(&mut first);
        Self(AtomicU32::new(u32::from_le_bytes(first)))
    }

    pub(super) fn next(&self) -> u32 {
        self.0.fetch_add(Self::STEP, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_random_numbers_are_spread_over_the_whole_range() {
        let jitter = Jitter::new(&Context::system());
        let mut numbers: Vec<_> = std::iter::repeat_with(|| jitter.next()).take(20).collect();
        numbers.sort_unstable();
        let (first, last) = (numbers[0], numbers[19]);
        let between = numbers.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(between.chain([first.wrapping_sub(last)]).all(|gap| gap < u32::MAX / 10), "{numbers:?}");
    }

    #[test]
    fn the_jitter_takes_away_at_most_its_part() {
        let policy = Policy::named("test", 1);
        assert_eq!(policy.fresh_for(false, 0), Duration::from_mins(1));
        assert_eq!(policy.fresh_for(false, u32::MAX), Duration::from_secs(54));
        assert_eq!(policy.fresh_for(true, 0), Duration::from_secs(5));
        assert_eq!(policy.pause_for(u32::MAX), Duration::from_millis(900));
        let endless = Policy { pause: Duration::MAX, ..policy };
        assert!(endless.pause_for(u32::MAX) > Duration::MAX / 2);
    }
}
