//! Limits the rate of requests, and says so in each response.
//!
//! Every request is counted for the address of its client. A class of routes, such as that of log-ins, has a limit
//! of its own beside that, and so has each user. A response has `RateLimit` and `RateLimit-Policy` with the limits
//! that its request was counted for (draft-ietf-httpapi-ratelimit-headers-10), and status 429 has `Retry-After`. One
//! that shared caches may store has only the policy: the middleware of caching removes what one client has left.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};

use super::cache_control::PublicResponse;
use super::client::client_address;
use super::rate_limits::{Decision, Partition, Quota, RATE_LIMIT, RATE_LIMIT_POLICY, RateLimit, RateLimiter};
use super::request::{ByRoute, of_route};
use super::surround::{Middleware, Next};
use crate::infrastructure::exceptions::{Failure, RejectedRequest};

/// The length of the texts of most responses, in bytes: those of two limits.
const TEXT: usize = 64;

/// The name of the limit of all requests of an address.
const GENERAL: &str = "general";
/// The name of the limit of all requests of a user.
const USER: &str = "user";

/// Which limits a route has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateClass {
    /// That of all requests of an address.
    #[default]
    General,
    /// That, and the limit of this name for an address, by [`RateLimitingMiddleware::named`]. A name that is not there
    /// adds no limit.
    Named(&'static str),
    /// None, and no limit of a user: for health checks.
    Exempt,
}

/// The limits of a service. A limit that is not there does not limit.
///
/// # Clients
///
/// The client of a request is the address in its extension [`Client`](super::Client) or, without one, that of the
/// connection in `ConnectInfo<SocketAddr>`, which axum's `into_make_service_with_connect_info` adds. A request with
/// neither is not limited: a warning is logged once. Behind a proxy all connections come from the proxy, which is
/// limited as one client unless the [`ClientMiddleware`](super::ClientMiddleware) of the chain trusts it.
#[derive(Clone, Debug)]
pub struct RateLimitingMiddleware {
    /// Counts the requests.
    pub limiter: RateLimiter,
    /// All requests of an address.
    pub general: Option<Quota>,
    /// All requests of a user. The chain does not know users: it is counted only where a handler or an extractor calls
    /// [`RequestLimits::count_user`], and without such a call it limits nothing.
    pub user: Option<Quota>,
    /// The requests of an address to the routes of a class, by its name in [`RateClass::Named`].
    pub named: BTreeMap<&'static str, Quota>,
    /// The routes that are not of the general class, by their paths of the router.
    pub classes: ByRoute<RateClass>,
}

/// The member of the chain.
struct Limits {
    settings: RateLimitingMiddleware,
    /// The policy of requests that are counted for their address alone.
    general_policy: HeaderValue,
    /// Whether it was logged that a request has no address.
    has_warned: AtomicBool,
}

/// The limits that a request was counted for: an extension of the request, unless its route is exempt or it has no
/// address.
#[derive(Clone)]
pub struct RequestLimits {
    limits: Arc<Limits>,
    counted: Arc<Mutex<Vec<(RateLimit, Decision)>>>,
}

impl RateLimitingMiddleware {
    /// Returns the member of the chain.
    pub(super) fn member(self) -> impl Middleware {
        let general = self.general.map(|quota| policy(RateLimit { name: GENERAL, quota }));
        let general_policy = general.and_then(|text| text.try_into().ok());
        let general_policy = general_policy.unwrap_or(HeaderValue::from_static(""));
        Arc::new(Limits { settings: self, general_policy, has_warned: AtomicBool::new(false) })
    }

    /// The limits of a class.
    fn limits(&self, class: RateClass) -> impl Iterator<Item = RateLimit> {
        let general = self.general.map(|quota| RateLimit { name: GENERAL, quota });
        let named = match class {
            RateClass::Named(name) => self.named.get(name).map(|quota| RateLimit { name, quota: *quota }),
            RateClass::General | RateClass::Exempt => None,
        };
        general.into_iter().chain(named)
    }
}

impl Limits {
    /// Logs, once, that a request to a route of this class has no address, if a limit would apply to it.
    fn warn_of_missing_address(&self, class: RateClass) {
        let settings = &self.settings;
        let is_limited = settings.user.is_some() || settings.limits(class).next().is_some();
        if class != RateClass::Exempt && is_limited && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "rate limits have no effect on requests without the address of a client: serve the router with \
                 `into_make_service_with_connect_info::<SocketAddr>()`, or insert `Client`"
            );
        }
    }
}

impl RequestLimits {
    /// Counts the request for its user, once it is known, or for the API keys of its user. Does nothing if there is no
    /// limit of a user.
    ///
    /// # Errors
    ///
    /// [`RejectedRequest::TooMany`] if the user has sent too many.
    pub async fn count_user(&self, partition: Partition) -> Result<(), RejectedRequest> {
        match self.limits.settings.user {
            Some(quota) => self.count(RateLimit { name: USER, quota }, partition).await,
            None => Ok(()),
        }
    }

    async fn count(&self, limit: RateLimit, partition: Partition) -> Result<(), RejectedRequest> {
        let decision = self.limits.settings.limiter.count(limit, partition).await;
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).push((limit, decision));
        decision.check(limit.quota)
    }

    /// Adds the headers to a response.
    fn describe(&self, response: &mut Response) {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_empty() {
            return;
        }
        let states = (!is_public(response)).then(|| states(&counted));
        let states = states.map(HeaderValue::try_from);
        let policies = match &**counted {
            [(RateLimit { name: GENERAL, .. }, _)] => Ok(self.limits.general_policy.clone()),
            several => {
                several.iter().map(|(limit, _)| policy(*limit)).collect::<Vec<_>>().join(", ").try_into()
            }
        };
        for (header, value) in [(RATE_LIMIT_POLICY, Some(policies)), (RATE_LIMIT, states)] {
            // names and numbers are always valid
            if let Some(Ok(value)) = value {
                response.headers_mut().insert(header, value);
            }
        }
    }
}

/// Returns what is left of the limits that a request was counted for, as `RateLimit` has it.
fn states(counted: &[(RateLimit, Decision)]) -> String {
    let mut states = String::with_capacity(TEXT);
    for (RateLimit { name, quota }, decision) in counted {
        let comma = if states.is_empty() { "" } else { ", " };
        let (remaining, reset) = (decision.remaining(*quota), decision.reset_after());
        // writing to a text does not fail
        let _ = write!(states, "{comma}\"{name}\";r={remaining};t={reset}");
    }
    states
}

/// Returns whether the middleware of caching makes a response one that shared caches may store: what one client has
/// left need not be written.
fn is_public(response: &Response) -> bool {
    matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED)
        && response.extensions().get::<PublicResponse>().is_some()
        && !response.headers().contains_key(CACHE_CONTROL)
}

/// Returns a limit as `RateLimit-Policy` has it.
fn policy(RateLimit { name, quota }: RateLimit) -> String {
    format!("\"{name}\";q={};w={}", quota.limit(), quota.window().as_secs())
}

/// Counts each request, and refuses it if there are too many.
impl Middleware for Arc<Limits> {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let class = of_route(&self.settings.classes, request).unwrap_or_default();
        let partition = client_address(request.extensions()).map(Partition::Address);
        if partition.is_none() {
            self.warn_of_missing_address(class);
        }
        let Some(partition) = partition.filter(|_| class != RateClass::Exempt) else {
            return next.run(request).await;
        };
        let limits = RequestLimits { limits: Self::clone(self), counted: Arc::default() };
        for limit in self.settings.limits(class) {
            if let Err(rejected) = limits.count(limit, partition).await {
                let mut response = Failure::from(rejected).into_response();
                limits.describe(&mut response);
                return response;
            }
        }

        request.extensions_mut().insert(limits.clone());
        let mut response = next.run(request).await;
        limits.describe(&mut response);
        response
    }
}
