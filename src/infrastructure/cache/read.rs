//! What came of a read.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::entry::{Entry, Source};

/// Where a reader got its entry from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was in memory and fresh.
    Hit,
    /// It was in memory, and is loaded again meanwhile or cannot be loaded.
    Stale,
    /// It was not in memory: it was loaded, by this reader or another, or found in the store that processes share.
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
    /// In check mode, what the entry was compared with, if it is the same.
    pub(super) comparison: Option<Arc<Comparison<V>>>,
}

/// In check mode, what an entry was compared with and has the same value as: the bytes that are kept beside the value
/// are compared, too, when they are served.
pub(super) struct Comparison<V> {
    /// The value that was loaded for it.
    pub(super) fresh: V,
    /// Reports that the bytes with a name differ from those that the loaded value is rendered to.
    pub(super) report: Box<dyn Fn(&str) + Send + Sync>,
}

/// A value with what came of the read.
#[derive(Debug, Clone)]
pub struct Served<V> {
    /// The value.
    pub value: V,
    /// What came of the read.
    pub status: ReadStatus,
    pub(super) comparison: Option<Arc<Comparison<V>>>,
}

impl Outcome {
    /// Returns how an entry was found that was not in memory, or that was not served from there.
    pub(super) fn of<V>(entry: &Entry<V>, was_kept: bool, collapsed: bool) -> Self {
        match entry.history.source {
            Source::Shared => Self::Shared,
            Source::Load | Source::Commit => Self::Loaded { was_kept, collapsed },
        }
    }

    /// Returns where the entry came from.
    pub fn lookup(self) -> Lookup {
        match self {
            Self::Hit => Lookup::Hit,
            Self::Stale | Self::Fallback => Lookup::Stale,
            Self::Shared | Self::Loaded { .. } => Lookup::Miss,
        }
    }
}

impl<V> Read<V> {
    /// Returns an entry that was not compared.
    pub(super) fn new(entry: Arc<Entry<V>>, outcome: Outcome) -> Self {
        Self { entry, outcome, comparison: None }
    }
}

impl<V> fmt::Debug for Comparison<V> {
    /// Omits the value, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison").finish_non_exhaustive()
    }
}

impl<V> Deref for Served<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}
