//! What the caches of a process have in common.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use super::cached::Cached;
use super::drops::Drops;
use super::entry::Loaded;
use super::policy::Policy;
use super::shared_tier::{Shape, SharedTier};
use crate::domain::context::Context;

/// What the caches of a process have in common.
pub struct Tiers {
    /// The sources of time and randomness.
    pub context: Context,
    /// What was dropped.
    pub drops: Arc<Drops>,
    /// The second tier, if there is one.
    pub shared: Option<SharedTier>,
}

impl Tiers {
    /// Returns an empty cache with these tiers.
    pub fn cached<K, V, E, F>(
        &self,
        policy: Policy,
        load: impl Fn(K) -> F + Send + Sync + 'static,
    ) -> Cached<K, V, E>
    where
        K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
        V: Shape + Clone + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        Cached::new(policy, self.context.clone(), Arc::clone(&self.drops), self.shared.clone(), load)
    }
}
