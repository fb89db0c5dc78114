//! The middleware room: what surrounds the routes of a service, for any axum router.
//!
//! The value of a member is its settings, as plain values, and its `apply` puts it around all routes of a router, the
//! response to an unknown route included. [`Chain`] is the one ordered list of them. A member knows no route and no
//! body of the store: what it needs of a response it reads from headers and extensions.
//!
//! `client.rs` finds the client of a request, behind the proxies that the operator trusts. `rate_limits/` counts what
//! has a limit; its middleware is applied within the layer that logs requests, so that refused ones are logged, and is
//! not in the chain.
//!
//! # Adding one
//!
//! 1. Write `<name>_middleware.rs` with a type `<Name>Middleware` and its `apply`, over the layer of `tower-http` where
//!    there is one, otherwise over `axum::middleware::from_fn`.
//! 2. Add its `mod` and `pub use` lines, a field of [`Chain`], and its place in `Chain::members` with the reason (a
//!    test fails until its file is in the list).

mod cache_middleware;
mod client;
mod compression_middleware;
mod cors_middleware;
mod entity_tags;
mod forwarded;
mod host;
mod origin;
mod rate_limits;
mod security_headers_middleware;
mod trusted_proxies;

use axum::Router;

pub use self::cache_middleware::{CacheMiddleware, PublicResponse};
pub use self::client::Client;
pub use self::compression_middleware::CompressionMiddleware;
pub use self::cors_middleware::{CorsMiddleware, FromNamedOrigin};
pub use self::entity_tags::{client_has, entity_tags};
pub use self::host::is_host;
pub use self::origin::{NotAnOrigin, Origin};
pub use self::rate_limits::{
    Decision, InvalidQuota, MemoryStore, Partition, Quota, RateClass, RateKey, RateLimit, RateLimitStore,
    RateLimiter, RateLimitingMiddleware, RedisStore, RequestLimits,
};
pub use self::security_headers_middleware::SecurityHeadersMiddleware;
pub use self::trusted_proxies::{InvalidNetwork, TrustedProxies};

/// The middleware of a service.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Adds the headers by which browsers protect users.
    pub security_headers: SecurityHeadersMiddleware,
    /// Lets pages of named origins use the service.
    pub cors: CorsMiddleware,
    /// Compresses bodies of responses and decodes those of requests.
    pub compression: CompressionMiddleware,
    /// Says how responses are cached, and responds to conditional requests.
    pub cache: CacheMiddleware,
}

/// A member of the chain, with its settings.
struct Member<S> {
    /// Its name, which is that of its file without the ending.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the order reads it"))]
    name: &'static str,
    apply: Box<dyn FnOnce(Router<S>) -> Router<S>>,
}

impl Chain {
    /// Surrounds all routes of a router.
    pub fn apply<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        self.members().into_iter().rev().fold(router, |router, member| (member.apply)(router))
    }

    /// The members, outermost first.
    fn members<S: Clone + Send + Sync + 'static>(self) -> [Member<S>; 4] {
        let Self { security_headers, cors, compression, cache } = self;
        [
            // every response has them, also one that another member makes
            member("security_headers", move |router| security_headers.apply(router)),
            // a page of a named origin can read every response, also a refusal by the members below
            member("cors", move |router| cors.apply(router)),
            // it compresses by what the cache says, and each coding has its own entity tag
            member("compression", move |router| compression.apply(router)),
            // it reads the response as the routes made it
            member("cache", move |router| cache.apply(router)),
        ]
    }
}

fn member<S>(name: &'static str, apply: impl FnOnce(Router<S>) -> Router<S> + 'static) -> Member<S> {
    Member { name, apply: Box::new(apply) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The names of the members, outermost first.
    fn names() -> Vec<&'static str> {
        Chain::default().members::<()>().iter().map(|member| member.name).collect()
    }

    #[test]
    fn the_order_of_the_members_is_pinned() {
        assert_eq!(names(), ["security_headers", "cors", "compression", "cache"]);
    }

    #[test]
    fn every_member_of_the_room_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/infrastructure/middleware");
        let files =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let members: BTreeSet<_> =
            files.filter_map(|file| Some(file.strip_suffix("_middleware.rs")?.to_owned())).collect();
        assert_eq!(members, names().into_iter().map(str::to_owned).collect());
    }
}
