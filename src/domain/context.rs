//! The sources of time, ids and randomness. They are always injected, so that a simulation, an import or a test can
//! choose them.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::time::{ClockId, Timespec, clock_gettime};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A source of time, in whole microseconds, which is the precision of both databases.
pub trait Clock: Debug + Send + Sync {
    /// Returns the present time.
    fn now(&self) -> Timestamp;

    /// Returns the present time or one up to 10 milliseconds earlier, whichever is faster to get.
    fn coarse_now(&self) -> Timestamp {
        self.now()
    }

    /// Returns whether this is the clock of the operating system. That of a service which several machines share may
    /// then be used in its place.
    fn is_system(&self) -> bool {
        false
    }
}

/// A source of ids and secrets.
pub trait IdSource: Debug + Send + Sync {
    /// Fills `out` with random bytes: from the operating system ([`SystemIds`]) or derived from a seed ([`SeededIds`]).
    fn secret(&self, out: &mut [u8]);

    /// Returns a new id (UUID version 7). Ids sort by the time of their creation.
    fn uuid(&self) -> Uuid;
}

/// The injected clock and source of ids.
#[derive(Clone, Debug)]
pub struct Context {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids and secrets.
    pub ids: Arc<dyn IdSource>,
}

impl Context {
    /// Returns the system clock with the operating system's randomness.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(SystemIds::new(Arc::new(SystemClock))) }
    }

    /// Returns a clock that stands at `now`, and ids derived from `seed`: equal arguments give equal ids in the same
    /// order.
    pub fn seeded(seed: impl AsRef<[u8]>, now: Timestamp) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
        Self { ids: Arc::new(SeededIds::new(seed, Arc::clone(&clock))), clock }
    }
}

/// The system clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
    fn now(&self) -> Timestamp {
        from_microseconds(Timestamp::now().as_microsecond())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn coarse_now(&self) -> Timestamp {
        // the time of the last tick of the kernel
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::RealtimeCoarse);
        from_microseconds(tv_sec * 1_000_000 + tv_nsec / 1_000)
    }

    fn is_system(&self) -> bool {
        true
    }
}

/// A clock that stands still until it is set or advanced.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Returns a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_microsecond()))
    }

    /// Sets the clock to `now`, which may be in its past: system clocks are set back too.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_microsecond(), Ordering::SeqCst);
    }

    /// Advances the clock by `step`, at most to the last representable time.
    pub fn advance(&self, step: SignedDuration) {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        // the closure always returns a value, so the update cannot fail
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(step)));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_microseconds(self.0.load(Ordering::SeqCst))
    }
}

/// Ids from a clock and the operating system's randomness, of which ids get more at once than one needs.
pub struct SystemIds {
    clock: Arc<dyn Clock>,
    unused: Mutex<Unused>,
}

/// Random bytes, those up to `used` in an id already.
struct Unused {
    bytes: [u8; 512],
    used: usize,
}

impl fmt::Debug for SystemIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemIds").finish_non_exhaustive()
    }
}

impl SystemIds {
    /// Returns a source of ids with the time of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, unused: Mutex::new(Unused { bytes: [0; 512], used: 512 }) }
    }
}

impl IdSource for SystemIds {
    /// # Panics
    ///
    /// If the operating system provides no randomness: secrets would be guessable.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that asks the operating system for randomness"
    )]
    fn secret(&self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            panic!("the operating system provides no randomness: {error}");
        }
    }

    fn uuid(&self) -> Uuid {
        let mut random = [0; 8];
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.used == unused.bytes.len() {
            self.secret(&mut unused.bytes);
            unused.used = 0;
        }
        let from = unused.used;
        random.copy_from_slice(&unused.bytes[from..from + 8]);
        unused.used += 8;
        drop(unused);
        uuid_v7(self.clock.now(), random)
    }
}

/// Ids derived from a seed, as SHA-256 of the seed and a counter. They serve simulations, and imports, whose ids derive
/// from the keys of the source. They are not secret.
#[derive(Debug)]
pub struct SeededIds {
    clock: Arc<dyn Clock>,
    seed: [u8; 32],
    counter: AtomicU64,
}

impl SeededIds {
    /// Returns a source of ids derived from `seed`, with the time of `clock`.
    pub fn new(seed: impl AsRef<[u8]>, clock: Arc<dyn Clock>) -> Self {
        Self { clock, seed: Sha256::digest(seed).into(), counter: AtomicU64::new(0) }
    }
}

impl IdSource for SeededIds {
    fn secret(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::SeqCst);
            let block = Sha256::new().chain_update(self.seed).chain_update(count.to_be_bytes()).finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn uuid(&self) -> Uuid {
        let mut random = [0; 8];
        self.secret(&mut random);
        uuid_v7(self.clock.now(), random)
    }
}

/// Makes a UUID version 7 by RFC 9562, section 6.2, method 3: the 12 bits after the milliseconds are the fraction of
/// the millisecond, so that ids sort by their microsecond without shared state; 62 random bits follow.
fn uuid_v7(now: Timestamp, random: [u8; 8]) -> Uuid {
    // the time of a UUID begins in 1970
    let microseconds = u64::try_from(now.as_microsecond()).unwrap_or(0);
    let fraction = u16::try_from(microseconds % 1_000 * 4_096 / 1_000).unwrap_or(0);
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&fraction.to_be_bytes());
    bytes[2..].copy_from_slice(&random);
    uuid::Builder::from_unix_timestamp_millis(microseconds / 1_000, &bytes).into_uuid()
}

/// Returns the time so many microseconds after 1970, or the nearest representable one.
fn from_microseconds(microseconds: i64) -> Timestamp {
    let end = if microseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(microseconds).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(microseconds: i64) -> Timestamp {
        Timestamp::from_microsecond(microseconds).unwrap()
    }

    #[test]
    fn the_system_clock_advances_in_whole_microseconds() {
        let coarse = SystemClock.coarse_now();
        let first = SystemClock.now();
        assert!(coarse <= first && first.duration_since(coarse) < SignedDuration::from_mins(1));
        assert_eq!(first.as_nanosecond() % 1_000, 0);
        assert!(SystemClock.now() >= first);
        assert!(first > at(1_700_000_000_000_000));
    }

    #[test]
    fn a_manual_clock_stands_still_and_stays_representable() {
        let clock = ManualClock::new(at(5));
        assert_eq!(clock.now(), clock.now());
        clock.advance(SignedDuration::from_micros(7));
        assert_eq!(clock.now(), at(12));
        clock.set(at(3));
        assert_eq!(clock.now(), at(3));
        clock.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }

    #[test]
    fn ids_are_version_7_and_sort_by_the_time_of_the_clock() {
        let clock = Arc::new(ManualClock::new(at(1_700_000_000_123_000)));
        let ids = SystemIds::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut made = Vec::new();
        for _ in 0..2_000 {
            made.push(ids.uuid());
            clock.advance(SignedDuration::from_micros(1));
        }
        assert!(made.is_sorted(), "later ids sort later, to the microsecond");
        for id in &made {
            assert_eq!(id.get_version(), Some(uuid::Version::SortRand));
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }
        let (seconds, nanoseconds) = made[0].get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanoseconds / 1_000_000), (1_700_000_000, 123));
    }

    #[test]
    fn system_ids_of_the_same_time_differ() {
        let ids = SystemIds::new(Arc::new(ManualClock::new(at(1))));
        let mut made: Vec<_> = (0..1_000).map(|_| ids.uuid()).collect();
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 1_000);
        let (mut one, mut other) = ([0; 32], [0; 32]);
        ids.secret(&mut one);
        ids.secret(&mut other);
        assert_ne!(one, other);
    }

    #[test]
    fn equal_seeds_give_equal_ids_and_other_seeds_other_ids() {
        let make = |seed: &str| {
            let context = Context::seeded(seed, at(1_290_000_000_000_000));
            let mut secret = [0; 50];
            context.ids.secret(&mut secret);
            (context.ids.uuid(), context.ids.uuid(), secret)
        };
        assert_eq!(make("invoice 536365"), make("invoice 536365"));
        let (first, second, secret) = make("invoice 536365");
        let (other, _, other_secret) = make("invoice 536366");
        assert_ne!(first, second);
        assert_ne!(first, other);
        assert_ne!(secret, other_secret);
        assert_ne!(secret[..18], secret[32..], "blocks differ");
    }
}
