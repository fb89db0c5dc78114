//! Limits the rate of requests, and says so in each response.
//!
//! Every request is counted for the address of its client. A class of routes, such as that of log-ins, has a limit
//! of its own beside that, and so has each user. A response has `RateLimit` and `RateLimit-Policy` with the limits
//! that its request was counted for (draft-ietf-httpapi-ratelimit-headers-10), and status 429 has `Retry-After`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::gcra::Decision;
use super::quota::Quota;
use super::{Partition, RateLimit, RateLimiter};
use crate::infrastructure::exceptions::{Failure, RejectedRequest};
use crate::infrastructure::middleware::client::client_address;
use crate::infrastructure::middleware::surround::{Middleware, Next, surround};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

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
    /// That, and the limit of this name for an address.
    Named(&'static str),
    /// None: for health checks.
    Exempt,
}

/// The limits of a service. A limit that is not there does not limit.
#[derive(Clone, Debug)]
pub struct RateLimitingMiddleware {
    /// Counts the requests.
    pub limiter: RateLimiter,
    /// All requests of an address.
    pub general: Option<Quota>,
    /// All requests of a user.
    pub user: Option<Quota>,
    /// The requests of an address to the routes of a class, by its name.
    pub named: BTreeMap<&'static str, Quota>,
    /// The routes that are not of the general class, by their paths of the router.
    pub classes: HashMap<String, Vec<(Method, RateClass)>>,
}

/// The limits that a request was counted for: an extension of the request.
#[derive(Clone)]
pub struct RequestLimits {
    middleware: Arc<RateLimitingMiddleware>,
    counted: Arc<Mutex<Vec<(RateLimit, Decision)>>>,
}

impl RateLimitingMiddleware {
    /// Limits the requests to all routes of a router.
    pub fn apply<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        surround(router, Arc::new(self))
    }

    /// The class of the route of a request.
    fn class(&self, request: &Request) -> RateClass {
        let Some(path) = request.extensions().get::<MatchedPath>() else { return RateClass::General };
        // a handler of GET responds to HEAD, too
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let mut classes = self.classes.get(path.as_str()).into_iter().flatten();
        classes.find(|(of, _)| of == method).map(|(_, class)| *class).unwrap_or_default()
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

impl RequestLimits {
    /// Counts the request for its user, once it is known, or for the API keys of its user.
    pub async fn count_user(&self, partition: Partition) -> Result<(), RejectedRequest> {
        match self.middleware.user {
            Some(quota) => self.count(RateLimit { name: USER, quota }, partition).await,
            None => Ok(()),
        }
    }

    async fn count(&self, limit: RateLimit, partition: Partition) -> Result<(), RejectedRequest> {
        let decision = self.middleware.limiter.count(limit, partition).await;
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).push((limit, decision));
        if decision.is_allowed {
            return Ok(());
        }
        Err(RejectedRequest::TooMany { retry_after: decision.retry_after(limit.quota) })
    }

    /// Adds the headers to a response.
    fn describe(&self, headers: &mut HeaderMap) {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut policies, mut states) = (String::new(), String::new());
        for (RateLimit { name, quota }, decision) in counted.iter() {
            let comma = if policies.is_empty() { "" } else { ", " };
            let (limit, window) = (quota.limit(), quota.window().as_secs());
            let (remaining, reset) = (decision.remaining(*quota), decision.reset_after());
            // writing to a text does not fail
            let _ = write!(policies, "{comma}\"{name}\";q={limit};w={window}");
            let _ = write!(states, "{comma}\"{name}\";r={remaining};t={reset}");
        }
        for (header, text) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, states)] {
            if let Ok(value) = HeaderValue::try_from(text)
                && !value.is_empty()
            {
                headers.insert(header, value);
            }
        }
    }
}

/// Counts each request, and refuses it if there are too many.
impl Middleware for Arc<RateLimitingMiddleware> {
    async fn respond(&self, mut request: Request, next: impl Next) -> Response {
        let class = self.class(&request);
        let partition = client_address(request.extensions()).map(Partition::Address);
        let Some(partition) = partition.filter(|_| class != RateClass::Exempt) else {
            return next.run(request).await;
        };
        let limits = RequestLimits { middleware: Self::clone(self), counted: Arc::default() };
        for limit in self.limits(class) {
            if let Err(rejected) = limits.count(limit, partition).await {
                let mut response = Failure::from(rejected).into_response();
                limits.describe(response.headers_mut());
                return response;
            }
        }

        request.extensions_mut().insert(limits.clone());
        let mut response = next.run(request).await;
        limits.describe(response.headers_mut());
        response
    }
}
