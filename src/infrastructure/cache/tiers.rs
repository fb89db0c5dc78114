//! What the caches of a process have in common.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::drops::Drops;
use super::limits::CacheLimits;
use super::shared_tier::SharedTier;
use crate::domain::context::Context;

/// Drops what was invalidated before the call; returns whether everything until then is known.
pub type CatchUp = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What the caches of a process have in common.
#[derive(Clone)]
pub struct Tiers {
    /// The sources of time and randomness.
    pub context: Context,
    /// What was dropped.
    pub drops: Arc<Drops>,
    /// The second tier, if there is one.
    pub shared: Option<SharedTier>,
    /// What tells whether an entry was dropped while it was loaded, before it is put into the second tier, which is not
    /// used as long as no entry of the log is recorded; `None` if the source is never restored to an earlier state.
    pub catch_up: Option<CatchUp>,
    /// In check mode, what tells whether an entry was dropped since: each entry that is served is compared with a load.
    pub check: Option<CatchUp>,
    /// The sizes that differ from those of the policies.
    pub limits: CacheLimits,
}

impl Tiers {
    /// Returns tiers with nothing but the memory of the process.
    pub fn in_memory(context: Context) -> Self {
        let limits = CacheLimits::default();
        Self { context, drops: Arc::default(), shared: None, catch_up: None, check: None, limits }
    }
}

impl fmt::Debug for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers")
            .field("shared", &self.shared)
            .field("is_checked", &self.check.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
