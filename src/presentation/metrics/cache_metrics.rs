//! The metrics of the caches of this process.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::infrastructure::cache::{CacheState, Caches};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    cache: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabels {
    cache: &'static str,
    source: &'static str,
}

/// A ratio by its labels.
type Ratios = Family<CacheLabels, Gauge<f64, AtomicU64>>;

/// Registers what each cache counted and keeps. The reads add up: each has one outcome.
pub(super) fn register(registry: &mut Registry, caches: &Caches) {
    let reads = Family::<ReadLabels, Counter>::default();
    let loads = Family::<LoadLabels, Counter>::default();
    let [rejections, evictions, fallbacks, checks, stale_hits] =
        [(); 5].map(|()| Family::<CacheLabels, Counter>::default());
    let [entries, bytes] = [(); 2].map(|()| Family::<CacheLabels, Gauge>::default());
    let ratios = Ratios::default();
    for CacheState { cache, counts, entries: kept, bytes: size, .. } in caches.states() {
        for (outcome, number) in
            [("hit", counts.hits), ("stale", counts.stale), ("wait", counts.waits), ("load", counts.loads)]
        {
            reads.get_or_create(&ReadLabels { cache, outcome }).inc_by(number);
        }
        for (source, number) in
            [("database", counts.from_source), ("shared", counts.shared), ("none", counts.failures)]
        {
            loads.get_or_create(&LoadLabels { cache, source }).inc_by(number);
        }
        let labels = CacheLabels { cache };
        rejections.get_or_create(&labels).inc_by(counts.rejected);
        evictions.get_or_create(&labels).inc_by(counts.evictions);
        fallbacks.get_or_create(&labels).inc_by(counts.fallbacks);
        checks.get_or_create(&labels).inc_by(counts.checks);
        stale_hits.get_or_create(&labels).inc_by(counts.stale_hits);
        entries.get_or_create(&labels).set(i64::try_from(kept).unwrap_or(i64::MAX));
        bytes.get_or_create(&labels).set(i64::try_from(size).unwrap_or(i64::MAX));
        if let Some(ratio) = counts.hit_ratio() {
            ratios.get_or_create(&labels).set(ratio);
        }
    }
    registry.register("cache_reads", "The reads of a cache, by what came of each", reads);
    registry.register("cache_loads", "The loads of a cache that ended, by where the entry was", loads);
    registry.register(
        "cache_rejections",
        "The loads that found an entry in Redis and did not use it, and entries that are larger than the cache",
        rejections,
    );
    registry.register("cache_hit_ratio", "The part of the reads that waited for no load", ratios);
    registry.register("cache_evictions", "The entries that were removed to make room for others", evictions);
    registry.register(
        "cache_fallbacks",
        "The reads of an ended entry, whose load failed or was slow",
        fallbacks,
    );
    registry.register("cache_checks", "The entries that check mode compared with the database", checks);
    registry.register("cache_stale_hits", "The old entries that check mode found", stale_hits);
    registry.register("cache_entries", "The entries that a cache keeps in memory", entries);
    registry.register_with_unit("cache_size", "What a cache keeps in memory, about", Unit::Bytes, bytes);
}
