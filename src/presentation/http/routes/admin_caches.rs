//! The caches, as administrators see them.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::admin_jobs::JobBody;
use crate::application::catalogue::caches::{self, WARM_CACHES};
use crate::application::jobs::job_queue;
use crate::infrastructure::cache::CacheState;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![list_caches, clear_caches, warm_caches]
}

/// A cache of the process that responds: how it keeps its entries, what it keeps, and what it counted since its start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cache)]
struct CacheBody {
    /// The name.
    #[schema(example = "product")]
    name: &'static str,
    /// How long an entry is kept at most, in seconds; it ends earlier if it is dropped.
    ttl_seconds: u64,
    /// How long it is known that there is nothing for a key, in seconds; `null` if that is not kept.
    negative_ttl_seconds: Option<u64>,
    /// The most bytes of all entries.
    limit_bytes: u64,
    /// The number of entries, also of those that were dropped or have ended and were not loaded again.
    entries: u64,
    /// The bytes of all entries, about.
    bytes: u64,
    /// The number of reads. Each is a hit, a stale one, a wait or a load.
    reads: u64,
    /// The reads of an entry in memory.
    hits: u64,
    /// The reads of an entry in memory after its end, or of a dropped one that could not be loaded a moment ago, which
    /// waited for no load.
    stale: u64,
    /// The reads that waited for a load that another one began.
    waits: u64,
    /// The reads that began a load.
    loads: u64,
    /// The part of the reads that waited for no load, from 0 to 1; `null` before the first read.
    hit_ratio: Option<f64>,
    /// The loads whose entry was in Redis.
    shared: u64,
    /// The loads that found an entry in Redis and did not use it, because it was dropped, had ended, was that which is
    /// loaded again before its end, or was damaged, and read the database.
    rejected: u64,
    /// The entries that are larger than `limit_bytes`, which are not kept.
    too_large: u64,
    /// The loads that failed.
    failures: u64,
    /// The entries that were removed to make room for others.
    evictions: u64,
    /// The entries that were compared with the database. Only in check mode (`caches.verify`).
    checks: u64,
    /// The old entries that this found.
    stale_hits: u64,
}

impl CacheBody {
    fn of(state: &CacheState) -> Self {
        let CacheState { cache, policy, counts, entries, bytes, .. } = *state;
        Self {
            name: cache,
            ttl_seconds: policy.ttl.as_secs(),
            negative_ttl_seconds: policy.negative_ttl.map(|ttl| ttl.as_secs()),
            limit_bytes: policy.max_bytes,
            entries,
            bytes,
            reads: counts.reads(),
            hits: counts.hits,
            stale: counts.stale,
            waits: counts.waits,
            loads: counts.loads,
            hit_ratio: counts.hit_ratio(),
            shared: counts.shared,
            rejected: counts.rejected,
            too_large: counts.too_large,
            failures: counts.failures,
            evictions: counts.evictions,
            checks: counts.checks,
            stale_hits: counts.stale_hits,
        }
    }
}

/// What is dropped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClearCaches {
    /// The tags whose entries are dropped: `products` (lists and searches), `product:ID`, `categories`, `category:ID`,
    /// `variant:ID`, `discount:ID`, or `catalogue`, which is all of them. If omitted (`{}`) or empty, everything is
    /// dropped.
    #[serde(default)]
    #[schema(max_items = 50, example = json!(["products"]))]
    tags: Vec<String>,
}

/// List caches
///
/// The caches of the server that responds; others have their own counters.
#[utoipa::path(get, path = "/admin/v1/caches", tag = "admin-caches",
    responses((status = 200, body = List<CacheBody>)))]
async fn list_caches(_: Admin, State(app): State<AppState>) -> HandlerResult<Json<List<CacheBody>>> {
    Ok(Json(List::whole(caches::states(&app.store), |state| CacheBody::of(&state))))
}

/// Clear caches
///
/// Drops entries on every server of the store, and in Redis. No cache needs it to be right: it is for changes that were
/// made in the database without the store. A `cache_invalidation` event with the tags is published.
#[utoipa::path(post, path = "/admin/v1/caches/clear", tag = "admin-caches", request_body = ClearCaches,
    responses((status = 204)))]
async fn clear_caches(
    _: Admin,
    State(app): State<AppState>,
    Json(ClearCaches { tags }): Json<ClearCaches>,
) -> HandlerResult<StatusCode> {
    caches::clear(&app.store, tags).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Warm caches
///
/// Creates a job that loads the category tree, the newest products, and the first pages of lists in the default
/// currency. They are in the memory of the server or worker that runs the job then, and in Redis, if there is one, for
/// all.
#[utoipa::path(post, path = "/admin/v1/caches/warm", tag = "admin-caches",
    responses((status = 202, body = JobBody)))]
async fn warm_caches(_: Admin, State(app): State<AppState>) -> HandlerResult<(StatusCode, Json<JobBody>)> {
    let job = job_queue(&app.store).run(WARM_CACHES, json!({}), None).await?;
    Ok((StatusCode::ACCEPTED, Json(JobBody::of(job))))
}
