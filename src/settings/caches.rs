//! The settings of the caches.

use serde::Deserialize;

use super::readers::cache_limits;
use crate::infrastructure::cache::CacheLimits;

/// `[caches]`: the caches.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// Check mode: whether each entry that is served is compared with the database.
    pub verify: bool,
    /// The most bytes of caches in the memory of a process, by their names.
    #[serde(deserialize_with = "cache_limits")]
    pub limit_bytes: CacheLimits,
}
