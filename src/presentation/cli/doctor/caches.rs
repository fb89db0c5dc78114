//! The checks of caches: of the Redis that processes share, and of check mode.

use super::super::open_store;
use super::Finding;
use crate::settings::Settings;

/// Checks whether the Redis of the settings responds. Without one there is no finding.
pub(super) async fn redis(settings: &Settings) -> Option<Finding> {
    let redis = open_store::redis(&settings.cache)?;
    Some(match redis.check().await {
        Ok(()) => Finding::ok("cache", "Redis responds"),
        Err(error) => Finding::warning(
            "cache",
            error.to_string(),
            "start it, or correct `cache` in the settings; until then each server keeps entries and counts limits \
             for itself",
        ),
    })
}

/// Warns of check mode. Without it there is no finding.
pub(super) fn check_mode(settings: &Settings) -> Option<Finding> {
    settings.caches.verify.then(|| {
        Finding::warning(
            "caches",
            "`caches.verify` is set: each use of a cache is compared with the database",
            "set it to false, unless this is a test or the caches of this store are suspected",
        )
    })
}
