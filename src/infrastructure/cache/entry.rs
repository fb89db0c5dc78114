//! An entry: a value, or the knowledge that there is none, with the moment at which its load began.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use jiff::{SignedDuration, Timestamp};

use super::drops::{Drops, KnownLog, Stamp};
use super::tag::Tag;

/// What a load returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<V> {
    /// The value; `None` if there is none for the key.
    pub value: Option<V>,
    /// The tags that drop it. A value without tags is dropped only with all others ([`Drops::drop_all`]), and otherwise
    /// ends by its policy. That there is no value is kept without tags until the next drop of anything, and is not
    /// shared with other processes: it is not known which drop announces a value.
    pub tags: Vec<Tag>,
    /// The size of the value in bytes, about, for the bound of the cache. That of a [`Rendered`](super::Rendered)
    /// includes the space for its forms.
    pub bytes: u32,
}

/// What an entry was loaded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A load of this process.
    Load,
    /// A load of another process, by the shared store.
    Shared,
    /// A transaction of this process that committed it.
    Commit,
}

/// How an entry came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    /// The moment at which it began to be loaded by this process.
    pub(super) began: Stamp,
    /// What the process that loaded it knew of the log then.
    pub(super) known: KnownLog,
    pub(super) source: Source,
}

/// An entry of a cache. What a hit reads comes first, side by side.
#[derive(Debug)]
#[repr(C)]
pub struct Entry<V> {
    /// The last moment at which the entry was found to be current.
    checked: AtomicU64,
    pub(super) fresh_until: Timestamp,
    value: Option<V>,
    pub(super) bytes: u32,
    pub(super) tags: Box<[Tag]>,
    pub(super) history: History,
    pub(super) loaded_at: Timestamp,
    /// Until when it is not loaded again, in microseconds since 1970: a load failed.
    paused_until: AtomicI64,
    /// A drop after this moment ends the pause: the load that failed may not see it.
    paused_at: AtomicU64,
}

/// The bytes of an entry beside its value: 144 of its fields, and about 320 of its place in the map, which `cargo bench
/// --bench store -- caches` measures.
const OVERHEAD: u32 = 464;

impl<V> Entry<V> {
    pub(super) fn new(
        loaded: Loaded<V>,
        history: History,
        loaded_at: Timestamp,
        fresh_until: Timestamp,
    ) -> Self {
        Self {
            value: loaded.value,
            tags: loaded.tags.into_boxed_slice(),
            bytes: loaded.bytes,
            history,
            checked: AtomicU64::new(history.began.number()),
            loaded_at,
            fresh_until,
            paused_until: AtomicI64::new(i64::MIN),
            paused_at: AtomicU64::new(0),
        }
    }

    /// Returns the value; `None` if there is none for the key.
    pub fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// Returns the bytes that the entry takes, about.
    pub(super) fn weight(&self) -> u32 {
        let tags = u32::try_from(size_of_val(&*self.tags)).unwrap_or(u32::MAX);
        OVERHEAD.saturating_add(tags).saturating_add(self.bytes)
    }

    /// Returns whether its tags say what it depends on: those that there is no value for a key may be missing.
    pub(super) fn is_tagged(&self) -> bool {
        self.value.is_some() || !self.tags.is_empty()
    }

    /// Returns whether nothing that it depends on was dropped since its load began; nothing at all, if there is no
    /// value and no tag.
    pub(super) fn is_current(&self, drops: &Drops) -> bool {
        let now = drops.now();
        if self.checked.load(Relaxed) == now.number() {
            return true;
        }
        // it is not known what would drop it
        let is_current = self.is_tagged() && drops.is_current(self.history.began, &self.tags);
        if is_current {
            // it may be an earlier moment than the present one, which only repeats the look-up
            self.checked.store(now.number(), Relaxed);
        }
        is_current
    }

    /// Returns whether it is current and not at its end.
    pub(super) fn is_fresh(&self, now: Timestamp, drops: &Drops) -> bool {
        now < self.fresh_until && self.is_current(drops)
    }

    /// Lets it be served without a load until a time, because one failed. A drop after a moment, which that load may
    /// not see, ends the pause.
    pub(super) fn pause(&self, moment: Stamp, until: Timestamp) {
        self.paused_at.store(moment.number(), Relaxed);
        self.paused_until.store(until.as_microsecond(), Relaxed);
    }

    /// Returns whether a load failed a moment ago, at most `longest` before, and nothing that it depends on was dropped
    /// since. If more is left than that, the clock was set back.
    pub(super) fn is_paused(&self, now: Timestamp, longest: SignedDuration, drops: &Drops) -> bool {
        let left = self.paused_until.load(Relaxed).saturating_sub(now.as_microsecond());
        let paused_at = Stamp::from_number(self.paused_at.load(Relaxed));
        left > 0 && i128::from(left) <= longest.as_micros() && drops.is_current(paused_at, &self.tags)
    }

    /// Returns whether it was loaded since a moment.
    pub(super) fn began_since(&self, moment: Stamp) -> bool {
        self.history.began >= moment
    }
}
