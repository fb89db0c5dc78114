//! The metrics that are read from the store when they are requested.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{cache_metrics, registry};
use crate::application::Store;
use crate::application::jobs::event_log;
use crate::application::webhooks::endpoints;
use crate::domain::job::JobStatus;
use crate::domain::state::State;
use crate::infrastructure::cache::Redis;
use crate::infrastructure::events::Lag;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::middleware::{Load, Priority};
use crate::infrastructure::repositories::{Database, JobRepository, WebhookCounts};

/// The longest time to read the state of the store; then the metrics of the database are left out.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads the state of a store, once at the same time.
#[derive(Default)]
pub(super) struct StateMetrics(Mutex<()>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SubscriberLabels {
    pub(super) subscriber: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    name: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RedisLabels {
    used_for: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PriorityLabels {
    priority: &'static str,
}

impl StateMetrics {
    /// Returns the metrics of the present state of a store.
    pub(super) async fn read(&self, store: &Store) -> Registry {
        let read = timeout(LIMIT, async {
            let _alone = self.0.lock().await;
            read(store).await
        });
        let (read, redis_up) = tokio::join!(read, redis_up(store));
        let read = match read {
            Ok(Ok(read)) => Some(read),
            Ok(Err(failure)) => {
                tracing::warn!(failure = %failure.report(), "the metrics of the database cannot be read");
                None
            }
            Err(_) => {
                tracing::warn!(
                    "the metrics of the database were not read within {} seconds",
                    LIMIT.as_secs()
                );
                None
            }
        };

        let mut registry = registry();
        register_process(&mut registry, store, read.is_some());
        if !redis_up.is_empty() {
            register_redis(&mut registry, redis_up);
        }
        if let Some(StoreState { lags, webhooks, jobs }) = read {
            register_subscribers(&mut registry, &lags, store.database().context().clock.now());
            register_webhooks(&mut registry, &webhooks);
            register_jobs(&mut registry, jobs);
        }
        registry
    }
}

/// What is read of a store.
struct StoreState {
    lags: Vec<Lag>,
    webhooks: WebhookCounts,
    jobs: Vec<(String, JobStatus, i64)>,
}

async fn read(store: &Store) -> Result<StoreState, Failure> {
    let (lags, webhooks) = (event_log::lag(store).await?, endpoints::counts(store).await?);
    let mut connection = store.database().read().await?;
    Ok(StoreState { lags, webhooks, jobs: JobRepository(&mut connection).counts().await? })
}

/// Returns whether each Redis responds, with what it is used for.
async fn redis_up(store: &Store) -> Vec<(&'static str, bool)> {
    let connections = store.infrastructure.redis_connections().into_iter();
    let check = |redis: Arc<Redis>| async move {
        let is_up = redis.check().await.is_ok();
        (redis.used_for().unwrap_or_default(), is_up)
    };
    join_all(connections.map(check)).await
}

fn register_redis(registry: &mut Registry, redis_up: Vec<(&'static str, bool)>) {
    let up = Family::<RedisLabels, Gauge>::default();
    for (used_for, is_up) in redis_up {
        up.get_or_create(&RedisLabels { used_for }).set(i64::from(is_up));
    }
    registry.register("redis_up", "Whether the Redis of this use responds", up);
}

fn register_process(registry: &mut Registry, store: &Store, is_up: bool) {
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of the program", build);
    let up = gauge(registry, "database_up", "Whether the state of the store could be read from its database");
    up.set(i64::from(is_up));

    let connections = Family::<StateLabels, Gauge>::default();
    let load = store.database().load();
    connections.get_or_create(&StateLabels { state: "in_use" }).set(signed(load.connections_in_use));
    connections.get_or_create(&StateLabels { state: "idle" }).set(signed(load.connections_idle));
    registry.register("database_connections", "The connections to the database", connections);
    let queries = Counter::<u64>::default();
    queries.inc_by(Database::statements());
    registry.register("database_queries", "The statements that the process ran on the database", queries);
    let waiting =
        gauge(registry, "database_waiting", "The reads and transactions that wait for a connection");
    waiting.set(signed(load.waiting));

    if let Some(limiter) = &store.infrastructure.overload {
        register_overload(registry, limiter.load());
    }
    cache_metrics::register(registry, &store.infrastructure.caches);
    let signals = Family::<TypeLabels, Counter>::default();
    for (r#type, dropped) in store.infrastructure.bus.dropped() {
        signals.get_or_create(&TypeLabels { r#type }).inc_by(dropped);
    }
    registry.register("signals_dropped", "The signals that a slow subscription lost", signals);
}

fn register_overload(registry: &mut Registry, Load { limit, in_progress, refused }: Load) {
    let limited = Gauge::<f64, AtomicU64>::default();
    limited.set(limit.unwrap_or_default());
    let help = "The most requests that begin in a second while the server is overloaded, otherwise 0";
    registry.register("requests_limit", help, limited);
    gauge(registry, "requests_in_progress", "The requests in progress, without health checks")
        .set(signed(in_progress));
    let counted = Family::<PriorityLabels, Counter>::default();
    for ((_, priority), refused) in Priority::REFUSED.into_iter().zip(refused) {
        counted.get_or_create(&PriorityLabels { priority }).inc_by(refused);
    }
    registry.register("requests_refused", "The requests that were refused for overload", counted);
}

fn register_subscribers(registry: &mut Registry, lags: &[Lag], now: Timestamp) {
    let [unread, oldest, postponed, dead] = [(); 4].map(|()| Family::<SubscriberLabels, Gauge>::default());
    for lag in lags {
        let labels = SubscriberLabels { subscriber: lag.subscriber };
        unread.get_or_create(&labels).set(lag.unread);
        let age = lag.oldest_unread_at.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0));
        oldest.get_or_create(&labels).set(age);
        postponed.get_or_create(&labels).set(lag.postponed);
        dead.get_or_create(&labels).set(lag.dead_letters);
    }
    registry.register("events_unread", "The published events that a subscriber has not read", unread);
    registry.register_with_unit(
        "events_oldest_unread_age",
        "The age of the first event that a subscriber has not read, 0 if there is none",
        Unit::Seconds,
        oldest,
    );
    registry.register("events_postponed", "The events that wait for a further attempt", postponed);
    registry.register("dead_letters", "The events whose handler failed every attempt", dead);
}

fn register_webhooks(registry: &mut Registry, counts: &WebhookCounts) {
    let endpoints = Family::<StateLabels, Gauge>::default();
    for (state, number) in
        [("active", counts.active), ("failing", counts.failing), ("inactive", counts.inactive)]
    {
        endpoints.get_or_create(&StateLabels { state }).set(number);
    }
    registry.register("webhook_endpoints", "The webhook endpoints", endpoints);
    gauge(registry, "webhook_deliveries_pending", "The deliveries that wait for an attempt")
        .set(counts.pending);
}

fn register_jobs(registry: &mut Registry, jobs: Vec<(String, JobStatus, i64)>) {
    let numbers = Family::<JobLabels, Gauge>::default();
    for (name, status, number) in jobs {
        numbers.get_or_create(&JobLabels { name, status: status.name() }).set(number);
    }
    registry.register("jobs", "The jobs, ended ones as long as they are kept", numbers);
}

/// Registers a gauge without labels.
fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
