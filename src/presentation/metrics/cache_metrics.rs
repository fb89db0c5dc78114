//! The metrics of the caches of this process.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::infrastructure::cache::{CacheState, Caches, LOOK_BOUNDS, LookCounts};

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookLabels {
    outcome: &'static str,
}

/// The durations of looks, as a histogram.
#[derive(Debug)]
struct LookDurations(LookCounts);

impl EncodeMetric for LookDurations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Self(looks) = self;
        let bounds = LOOK_BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(looks.by_duration).collect();
        encoder.encode_histogram::<NoLabelSet>(looks.took.as_secs_f64(), looks.looks(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// A ratio by its labels.
type Ratios = Family<CacheLabels, Gauge<f64, AtomicU64>>;

/// Registers what each cache counted and keeps, and the looks for what was invalidated.
pub(super) fn register(registry: &mut Registry, caches: &Caches) {
    register_caches(registry, caches);
    register_looks(registry, caches.looks());
}

fn register_looks(registry: &mut Registry, looks: LookCounts) {
    let counted = Family::<LookLabels, Counter>::default();
    for (outcome, number) in [("read", looks.looks().saturating_sub(looks.failed)), ("failed", looks.failed)]
    {
        counted.get_or_create(&LookLabels { outcome }).inc_by(number);
    }
    registry.register("cache_looks", "The looks for what was invalidated, which readers share", counted);
    let help = "The durations of the looks for what was invalidated";
    registry.register_with_unit("cache_look_duration", help, Unit::Seconds, LookDurations(looks));
}

/// Registers what each cache counted and keeps. The reads add up: each has one outcome.
fn register_caches(registry: &mut Registry, caches: &Caches) {
    let reads = Family::<ReadLabels, Counter>::default();
    let loads = Family::<LoadLabels, Counter>::default();
    let [rejections, too_large, evictions, fallbacks, checks, stale_hits] =
        [(); 6].map(|()| Family::<CacheLabels, Counter>::default());
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
        too_large.get_or_create(&labels).inc_by(counts.too_large);
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
        "The loads that found an entry in Redis and did not use it",
        rejections,
    );
    registry.register("cache_too_large", "The entries that are larger than the cache", too_large);
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
