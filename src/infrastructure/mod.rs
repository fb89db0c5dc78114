//! The infrastructure rooms, and [`Infrastructure`], which assembles them.

pub mod adapters;
pub mod cache;
pub mod events;
pub mod exceptions;
pub mod guards;
pub mod middleware;
pub mod repositories;

use std::sync::Arc;
use std::time::Duration;

use self::adapters::{AdapterSettings, CertificateAuthorities, Files, Gateways, Mail, WebhookClient};
use self::cache::{CacheOptions, Caches, EntriesInRedis, Redis, SharedTier};
use self::events::transports::Transport;
use self::events::{Broker, EventBus, Mode};
use self::middleware::jwt::TrustedIssuer;
use self::middleware::{OverloadLimiter, RateLimiter, SessionStore};
use self::repositories::Database;

/// The wait at which a queue of requests is standing, as in `CoDel`.
const QUEUE_TARGET: Duration = Duration::from_millis(5);

/// The assembled rooms of a store. Clones share everything.
#[derive(Debug, Clone)]
pub struct Infrastructure {
    /// The open database.
    pub database: Database,
    /// The bus of signals.
    pub bus: EventBus,
    /// The payment providers.
    pub gateways: Gateways,
    /// The mailer; `None` if the store sends no e-mails.
    pub mail: Option<Mail>,
    /// The file storage.
    pub files: Files,
    /// The certificate authorities of servers that are called over HTTPS.
    pub authorities: CertificateAuthorities,
    /// Sends messages to webhook endpoints.
    pub webhooks: WebhookClient,
    /// The broker that carries events, if there is one.
    pub broker: Option<Broker>,
    /// The caches of what shoppers read.
    pub caches: Caches,
    /// The Redis of the caches, if there is one.
    pub redis: Option<Arc<Redis>>,
    /// Counts what has a rate limit.
    pub limiter: RateLimiter,
    /// The sessions of users.
    pub sessions: SessionStore,
    /// The identity provider whose tokens are accepted, if there is one.
    pub issuer: Option<TrustedIssuer>,
    /// The share of the traces of jobs that are sampled, from 0 to 1: whether their spans are exported.
    pub sampled: f64,
    /// Limits the requests that begin by how long they wait, also for the database; `None` if they are not limited.
    pub overload: Option<OverloadLimiter>,
}

impl Infrastructure {
    /// Assembles the rooms on an open database, with the vendors of these settings.
    pub fn new(database: Database, settings: AdapterSettings) -> Self {
        let webhooks = WebhookClient::new(settings.private_webhooks, &settings.authorities);
        let database = database.publishing_tags(events::cache_invalidation);
        let bus = EventBus::default();
        let observer = bus.clone();
        let database = database.observed_by(move |work| observer.emit(work));
        let (mail, files) = (settings.mail.clone(), settings.files.clone());
        let authorities = settings.authorities.clone();
        let gateways = adapters::assemble(&database, &bus, settings);
        let limiter = RateLimiter::in_process(Arc::clone(&database.context().clock));
        let caches = Caches::new(&database, CacheOptions::default());
        let sessions = SessionStore::in_database(database.clone());
        let queues = database.clone();
        let overload = OverloadLimiter::new(QUEUE_TARGET, Some(Arc::new(move || queues.take_waits())));
        Self {
            database,
            bus,
            gateways,
            mail,
            files,
            authorities,
            webhooks,
            broker: None,
            caches,
            redis: None,
            limiter,
            sessions,
            issuer: None,
            sampled: 0.0,
            overload: Some(overload),
        }
    }

    /// Keeps the caches by these options, and lets them share their entries with other processes, if there is a Redis.
    #[must_use]
    pub fn with_caches(self, options: CacheOptions, redis: Option<Redis>) -> Self {
        let redis = redis.map(Arc::new);
        let shared = redis.clone().map(|redis| self.shared_tier(EntriesInRedis(redis)));
        let options = CacheOptions { shared: shared.or(options.shared), ..options };
        Self { caches: Caches::new(&self.database, options), redis, ..self }
    }

    /// Returns the connections to Redis, as far as there are any: of the caches, the rate limits and the sessions.
    pub fn redis_connections(&self) -> Vec<Arc<Redis>> {
        let Self { redis, limiter, sessions, .. } = self;
        [redis.clone(), limiter.redis(), sessions.redis()].into_iter().flatten().collect()
    }

    /// Returns the second tier of the caches in a Redis, signed with a key of the store.
    pub fn shared_tier(&self, redis: EntriesInRedis) -> SharedTier {
        SharedTier::new(Arc::new(redis), &self.database.signing_key().sign("cache entries", &[]))
    }

    /// Lets a broker carry events, in messages that contain them in this way.
    #[must_use]
    pub fn with_broker(self, transport: Arc<dyn Transport>, mode: Mode) -> Self {
        let bus = self.bus.clone();
        Self { broker: Some(Broker::new(transport, mode, bus)), ..self }
    }
}
