//! What came of a read.

use std::ops::Deref;
use std::sync::Arc;

use super::entry::Entry;

/// Where a reader got its entry from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was in memory and fresh.
    Hit,
    /// It was in memory, and is loaded again meanwhile or cannot be loaded.
    Stale,
    /// It was loaded, by this reader or another.
    Miss,
}

/// What came of a read, for the client: the values of `Cache-Status` (RFC 9211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadStatus {
    /// How the entry was found.
    pub outcome: Outcome,
    /// The seconds for which the entry is still fresh, unless it is dropped; negative since its end, and not positive
    /// if it was dropped.
    pub ttl_seconds: i64,
    /// Whether the entry fits into the memory of the cache.
    pub is_stored: bool,
}

/// How an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In memory, and fresh.
    Hit,
    /// In the store that processes share.
    Shared,
    /// In memory after its end, without waiting for the load that began meanwhile.
    Stale,
    /// In memory, dropped or after its end, because it could not be loaded again.
    Fallback,
    /// By a load.
    Loaded {
        /// Whether there was an entry, which ended or was dropped.
        was_kept: bool,
        /// Whether another reader had begun the load.
        collapsed: bool,
    },
}

/// An entry as a reader got it.
pub(super) struct Read<V> {
    pub(super) entry: Arc<Entry<V>>,
    pub(super) outcome: Outcome,
}

/// A value with what came of the read.
#[derive(Debug, Clone)]
pub struct Served<V> {
    /// The value.
    pub value: V,
    /// What came of the read.
    pub status: ReadStatus,
}

impl Outcome {
    /// Returns where the entry came from.
    pub fn lookup(self) -> Lookup {
        match self {
            Self::Hit => Lookup::Hit,
            Self::Stale | Self::Fallback => Lookup::Stale,
            Self::Shared | Self::Loaded { .. } => Lookup::Miss,
        }
    }
}

impl<V> Deref for Served<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}
