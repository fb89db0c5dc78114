//! The middleware room: what surrounds the routes of a service, for any axum router.
//!
//! The value of a member is its settings, as plain values. [`Chain`] is the one ordered list of them, and its `apply`
//! puts them around all routes of a router, the response to an unknown route included. A member knows no route and no
//! body of the store: what it needs of a response it reads from headers and extensions.
//!
//! A [`Client`] is read from the headers of a request, as far as they are those of [`TrustedProxies`], and a
//! [`Credential`] by [`authenticate`]. Members and handlers tell each other what they know by extensions of the
//! request, such as [`RequestId`], [`RequestUser`] and [`RequestLimits`]. [`jwt`] verifies signed tokens, an [`Origin`]
//! names pages that may use the service, and the [`OverloadLimiter`] finds how many requests may begin in a second. A
//! [`RateLimiter`] counts what has a limit, and a [`SessionStore`] keeps sessions, whose cookie [`SessionMiddleware`]
//! lets a service read.
//!
//! No member decides who may call a route: the policy of a route does, the first argument of its handler, which runs
//! its guards (`presentation::http::routing`). The middleware of authorization, [`AuthorizationMiddleware`], is not in
//! the list and refuses nothing either: it surrounds single routes and states the permission of each for a guard.
//!
//! # The order
//!
//! A request passes the members in this order, the outermost first, and its response in the opposite one:
//!
//! 1. [`ClientMiddleware`]: the line in the log, also that of a refusal, and the limits have the address of the client.
//! 2. [`OverloadMiddleware`]: a request that is refused costs as little as it can. Its response has what the members
//!    below would add.
//! 3. [`LoggingMiddleware`]: every other response has an id and a line in the log, also one that another member makes.
//! 4. [`SecurityHeadersMiddleware`]: every response has its headers.
//! 5. [`CorsMiddleware`]: a page of a named origin can read every response, also a refusal by the members below.
//! 6. [`LocalizationMiddleware`]: it translates every problem document, also those of the members below.
//! 7. [`CompressionMiddleware`]: it compresses by what the next one says, and each coding has an entity tag of its own.
//! 8. [`CacheMiddleware`]: it reads the response as the routes made it.
//! 9. [`ErrorHandlingMiddleware`]: what panics or takes too long is a handler, or the check of a request.
//! 10. [`RequestValidationMiddleware`]: no route and no limit sees a request that is malformed.
//! 11. [`RateLimitingMiddleware`]: it counts the others, also those whose handler lists what it does not read.
//! 12. [`SessionMiddleware`]: what it and the last one say is read by the routes.
//! 13. [`AuthenticationMiddleware`].
//!
//! # In another service
//!
//! It puts a [`Chain`] with its settings around its routes; `examples/edge.rs` has one with more members. The chain
//! protects no route: a route like this one, which is added to a router of axum directly, is open to all. Those that
//! are not for all are added to `Routes` of `presentation::http::routing`, with guards as the policy of their handlers.
//! [`AuthorizationMiddleware`] is for the permissions of a store alone. Nor does the chain limit connections: a reverse
//! proxy with time-outs for heads and bodies stands before the service.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::routing::get;
//! use undercroft::infrastructure::middleware::{Chain, ErrorHandlingMiddleware, LoggingMiddleware};
//!
//! async fn health() -> &'static str {
//!     "up"
//! }
//!
//! let error_handling = ErrorHandlingMiddleware {
//!     timeout: Some(Duration::from_secs(5)),
//!     ..ErrorHandlingMiddleware::default()
//! };
//! let logging = Some(LoggingMiddleware::default());
//! let chain = Chain { error_handling, logging, ..Chain::default() };
//! let router: Router = chain.apply(Router::new().route("/health", get(health)));
//! ```
//!
//! Requests need the address of their connection, as the extension `ConnectInfo<SocketAddr>` of axum: the router is
//! served with `into_make_service_with_connect_info::<SocketAddr>()`. Without it there is no [`Client`], the log has no
//! address, and no rate limit applies, of which a warning is logged once.
//!
//! [`RateLimitingMiddleware`] counts each request for the address of its client. It does not know users: what finds the
//! user of a request, such as an extractor or the `LoadFacts` of a guard, counts the request by
//! [`RequestLimits::count_user`]. Processes that are to count together have a [`RateLimiter`] at one Redis:
//!
//! ```
//! use std::error::Error;
//!
//! use http::request::Parts;
//! use undercroft::domain::context::Context;
//! use undercroft::infrastructure::cache::CacheUrl;
//! use undercroft::infrastructure::exceptions::RejectedRequest;
//! use undercroft::infrastructure::middleware::{Partition, RateLimiter, RequestLimits};
//! use uuid::Uuid;
//!
//! /// Returns the limiter at a URL such as `redis://127.0.0.1:6379`. It is called on a runtime of Tokio.
//! fn limiter(url: &str) -> Result<RateLimiter, Box<dyn Error + Send + Sync>> {
//!     let url: CacheUrl = url.parse()?;
//!     Ok(RateLimiter::open(&url, "club", Context::system().clock)?)
//! }
//!
//! /// Counts a request for its user, if it is not of a route without limits.
//! async fn count(parts: &Parts, user: Uuid) -> Result<(), RejectedRequest> {
//!     match parts.extensions.get::<RequestLimits>() {
//!         Some(limits) => limits.count_user(Partition::User(user)).await,
//!         None => Ok(()),
//!     }
//! }
//! ```
//!
//! # Adding one
//!
//! 1. Write `<name>_middleware.rs` with a type `<Name>Middleware` that has the settings and implements [`Middleware`],
//!    over the layer of `tower-http` where there is one. If it computes something from its settings once, `member`
//!    returns that.
//! 2. Add its `mod` and `pub use` lines, a field of [`Chain`], its place in `Chain::members`, and with the reason in
//!    the list above (tests fail until it is in both).

mod authentication_middleware;
mod authorization_middleware;
mod cache_control;
mod cache_middleware;
mod client;
mod client_middleware;
mod compression_middleware;
mod cors_middleware;
mod credential;
mod entity_tags;
mod error_handling_middleware;
mod forwarded;
mod host;
pub mod jwt;
mod languages;
mod last_byte;
mod localization_middleware;
mod logging_middleware;
mod named_origins;
mod origin;
mod overload_limiter;
mod overload_middleware;
mod rate_limiting_middleware;
mod rate_limits;
mod request;
mod request_validation_middleware;
mod security_headers_middleware;
mod session_middleware;
mod sessions;
mod surround;
mod trusted_proxies;

use axum::Router;

pub use self::authentication_middleware::AuthenticationMiddleware;
pub use self::authorization_middleware::{AuthorizationMiddleware, RequiredPermission};
pub use self::cache_control::PublicResponse;
pub use self::cache_middleware::CacheMiddleware;
pub use self::client::{Client, network};
pub use self::client_middleware::ClientMiddleware;
pub use self::compression_middleware::{CompressionMiddleware, DecodedBody};
pub use self::cors_middleware::CorsMiddleware;
pub use self::credential::{
    Credential, SameSiteCookie, SessionCookie, VerifyCredential, authenticate, check_same_site, cookie_value,
};
pub use self::entity_tags::{client_has, entity_tags, if_none_match};
pub use self::error_handling_middleware::{ErrorHandlingMiddleware, Late, Lateness, Recheck, TimeLimit};
pub use self::host::is_host;
pub use self::languages::{Languages, ResponseLanguages};
pub use self::localization_middleware::LocalizationMiddleware;
pub use self::logging_middleware::LoggingMiddleware;
pub use self::named_origins::FromNamedOrigin;
pub use self::origin::{NotAnOrigin, Origin};
pub use self::overload_limiter::{InProgress, Load, OverloadLimiter, Priority, Probe, ServiceWaits};
pub use self::overload_middleware::OverloadMiddleware;
pub use self::rate_limiting_middleware::{RateClass, RateLimitingMiddleware, RequestLimits};
pub use self::rate_limits::{
    Decision, InvalidQuota, MemoryStore, Partition, Quota, RateKey, RateLimit, RateLimitStore, RateLimiter,
    RedisStore,
};
pub use self::request::{ActingUser, ByRoute, RequestId, RequestUser};
pub use self::request_validation_middleware::{
    BodyLimit, RequestValidationMiddleware, Unread, UnreadConditions,
};
pub use self::security_headers_middleware::SecurityHeadersMiddleware;
pub use self::session_middleware::SessionMiddleware;
pub use self::sessions::{BegunSession, Ending, Eviction, InvalidSessionsUrl, SessionStore, SessionsUrl};
pub use self::surround::{Middleware, Next};
pub use self::trusted_proxies::{InvalidNetwork, TrustedProxies};

/// The middleware of a service.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Finds the client of each request, behind the proxies that are trusted.
    pub client: ClientMiddleware,
    /// Refuses requests while the service is overloaded; `None` accepts all.
    pub overload: Option<OverloadMiddleware>,
    /// Logs each request; `None` logs none.
    pub logging: Option<LoggingMiddleware>,
    /// Adds the headers by which browsers protect users.
    pub security_headers: SecurityHeadersMiddleware,
    /// Lets pages of named origins use the service.
    pub cors: CorsMiddleware,
    /// Negotiates the language, and translates problem documents.
    pub localization: LocalizationMiddleware,
    /// Compresses bodies of responses and decodes those of requests.
    pub compression: CompressionMiddleware,
    /// Says how responses are cached, and responds to conditional requests.
    pub cache: CacheMiddleware,
    /// Makes problem documents of panics, time-outs, unknown routes and methods.
    pub error_handling: ErrorHandlingMiddleware,
    /// Refuses malformed requests, finds what routes do not read, and limits bodies.
    pub request_validation: RequestValidationMiddleware,
    /// Limits the rate of requests; `None` limits none.
    pub rate_limiting: Option<RateLimitingMiddleware>,
    /// Lets the service read its session cookie.
    pub session: SessionMiddleware,
    /// Bounds the credential of a request.
    pub authentication: AuthenticationMiddleware,
}

impl Chain {
    /// Surrounds all routes of a router.
    ///
    /// # Panics
    ///
    /// If a text of the [`SecurityHeadersMiddleware`] is no value of a header.
    pub fn apply<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        surround::surround(router, self.members())
    }

    /// The members, outermost first. The page of the room has the reason of each place.
    fn members(self) -> impl Middleware {
        let origins = self.cors.named();
        let (headers, localization) = (self.security_headers.headers(), &self.localization);
        let translate = |document: &[u8], language: &str| localization.translated(document, language);
        let logged = self.logging.as_ref().map(|logging| (logging.context.clone(), logging.bus.clone()));
        let overload = |it: OverloadMiddleware| {
            it.member(origins.clone(), &headers, &localization.languages, &translate, logged)
        };
        self.client
            .around(self.overload.map(overload))
            .around(self.logging)
            .around(self.security_headers.member())
            .around(CorsMiddleware::member(origins))
            .around(self.localization)
            .around(self.compression.member())
            .around(self.cache.member())
            .around(self.error_handling)
            .around(self.request_validation)
            .around(self.rate_limiting.map(RateLimitingMiddleware::member))
            .around(self.session)
            .around(self.authentication)
    }
}

#[cfg(test)]
mod tests {
    use std::any::type_name_of_val;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The names of the files of the members without their endings, outermost first.
    fn names() -> Vec<String> {
        let members = type_name_of_val(&Chain::default().members()).to_owned();
        let files = members.split("::").filter_map(|part| part.strip_suffix("_middleware"));
        files.map(str::to_owned).collect()
    }

    #[test]
    fn the_order_of_the_members_is_pinned() {
        let expected = [
            "client",
            "overload",
            "logging",
            "security_headers",
            "cors",
            "localization",
            "compression",
            "cache",
            "error_handling",
            "request_validation",
            "rate_limiting",
            "session",
            "authentication",
        ];
        assert_eq!(names(), expected);
    }

    #[test]
    fn the_page_of_the_room_has_the_order() {
        let listed = include_str!("mod.rs").lines().filter_map(|line| {
            let (number, text) = line.strip_prefix("//! ")?.split_once(". [`")?;
            let (name, _) = text.split_once("Middleware`]")?;
            Some((number.parse::<usize>().ok()?, name.to_lowercase()))
        });
        let expected = (1_usize..).zip(names()).map(|(number, name)| (number, name.replace('_', "")));
        assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn every_member_of_the_room_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/infrastructure/middleware");
        let files =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut members: BTreeSet<_> =
            files.filter_map(|file| Some(file.strip_suffix("_middleware.rs")?.to_owned())).collect();
        assert!(members.remove("authorization"), "it surrounds single routes");
        assert_eq!(members, names().into_iter().collect());
    }
}
