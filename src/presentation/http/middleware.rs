//! The middleware of the store, with the settings of its API.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_LANGUAGE, ACCEPT_RANGES, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use http::{HeaderName, Method};

use super::principal::session_cookie_of;
use super::priorities::overload;
use super::rate_classes;
use super::routing::Routes;
use crate::application::Store;
use crate::application::readiness::Readiness;
use crate::infrastructure::middleware::{
    AuthenticationMiddleware, BodyLimit, CacheMiddleware, Chain, ClientMiddleware, CompressionMiddleware,
    CorsMiddleware, ErrorHandlingMiddleware, LocalizationMiddleware, LoggingMiddleware, Recheck,
    RequestValidationMiddleware, SecurityHeadersMiddleware, SessionMiddleware,
};
use crate::settings::{HttpSettings, Settings};

/// How long a browser may keep the response to a preflight request: the longest time that Chromium allows.
const PREFLIGHT_AGE: Duration = Duration::from_hours(2);
/// How long browsers use only HTTPS with the store: a year, as the list of preloaded hosts requires.
const HTTPS_AGE: Duration = Duration::from_hours(365 * 24);

/// Returns the middleware of a store with these routes.
pub(super) fn chain(store: &Store, settings: &Settings, routes: &Routes) -> Chain {
    let (http, context) = (&settings.http, store.database().context());
    Chain {
        // the server finds the client
        client: ClientMiddleware::default(),
        overload: overload(settings.overload, store),
        logging: Some(LoggingMiddleware {
            context: context.clone(),
            bus: store.infrastructure.bus.clone(),
            address_bits: settings.log.client_address.bits(),
            orders: Some("orders"),
            sampled: settings.telemetry.sampled(),
        }),
        security_headers: security_headers(&settings.public_url, http),
        cors: cors(http),
        localization: LocalizationMiddleware::default(),
        compression: CompressionMiddleware {
            threshold: NonZeroU32::new(http.compress_from_bytes).map(|bytes| bytes.get().into()),
            ..CompressionMiddleware::default()
        },
        cache: CacheMiddleware { max_age: http.public_max_age, stale_while_revalidate: http.public_stale },
        error_handling: ErrorHandlingMiddleware {
            context: context.clone(),
            // the server limits the time
            timeout: None,
            recheck: Some(unless_not_live(store.clone())),
        },
        request_validation: RequestValidationMiddleware {
            body_limit: BodyLimit(http.body_limit_bytes.get() as usize),
            unread: routes.unread(),
        },
        rate_limiting: rate_classes::limits(
            &settings.rate_limits,
            store.infrastructure.limiter.clone(),
            routes,
        ),
        session: SessionMiddleware { cookie: Some(session_cookie_of(settings.cookies())) },
        authentication: AuthenticationMiddleware::default(),
    }
}

/// Explains the refusal of a write by `not_ready` if the database is not that of the store: what it was refused for,
/// such as a cart that does not exist, may be different in the one that is.
fn unless_not_live(store: Store) -> Recheck {
    let known = Arc::new((store, Readiness::default()));
    Recheck::new(move || {
        let known = Arc::clone(&known);
        async move {
            let (store, readiness) = &*known;
            Ok(readiness.check_live(store).await?)
        }
    })
}

/// Returns the security headers of a service that clients reach at this URL, which may be empty.
pub fn security_headers(public_url: &str, http: &HttpSettings) -> SecurityHeadersMiddleware {
    let is_https = public_url.starts_with("https:");
    SecurityHeadersMiddleware {
        https_only: is_https.then_some(HTTPS_AGE),
        https_only_subdomains: http.https_only_subdomains,
        ..SecurityHeadersMiddleware::default()
    }
}

/// Lets pages of the origins in the settings use the store.
pub fn cors(http: &HttpSettings) -> CorsMiddleware {
    CorsMiddleware {
        origins: http.allowed_origins.clone(),
        methods: vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE],
        request_headers: request_headers(),
        response_headers: response_headers(),
        max_age: PREFLIGHT_AGE,
    }
}

/// The headers that routes read, beside those that every page may send.
fn request_headers() -> Vec<HeaderName> {
    let mut headers = vec![
        ACCEPT_LANGUAGE,
        AUTHORIZATION,
        CONTENT_ENCODING,
        CONTENT_TYPE,
        IF_MATCH,
        IF_NONE_MATCH,
        IF_RANGE,
        RANGE,
    ];
    let others =
        ["content-digest", "idempotency-key", "last-event-id", "order-token", "traceparent", "tracestate"];
    headers.extend(others.map(HeaderName::from_static));
    headers
}

/// The headers of responses, beside those that every page may read.
fn response_headers() -> Vec<HeaderName> {
    let mut headers = vec![ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, LOCATION, RETRY_AFTER];
    let others = ["cache-status", "ratelimit", "ratelimit-policy", "session-token", "x-request-id"];
    headers.extend(others.map(HeaderName::from_static));
    headers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::presentation::http::openapi;

    /// The headers that every page may send, or read (the Fetch standard, sections 2.2.2 and 2.2.1).
    const SAFE: [&str; 3] = ["accept", "cache-control", "content-type"];
    /// Headers that no page can read.
    const FORBIDDEN: [&str; 1] = ["set-cookie"];

    #[test]
    fn pages_may_send_and_read_the_headers_of_the_api_document() {
        let document: Value = serde_json::from_slice(&openapi::document()).unwrap();
        let (mut sent, mut read) = (BTreeSet::new(), BTreeSet::new());
        let paths = document["paths"].as_object().unwrap().values();
        for operation in paths.flat_map(|path| path.as_object().unwrap().values()) {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let headers = parameters.filter(|parameter| parameter["in"] == "header");
            sent.extend(headers.map(|header| header["name"].as_str().unwrap().to_lowercase()));
            for response in operation["responses"].as_object().unwrap().values() {
                let headers = response["headers"].as_object().into_iter().flatten();
                read.extend(headers.map(|(name, _)| name.to_lowercase()));
            }
        }
        assert!(sent.len() > 5 && read.len() > 2, "{sent:?} {read:?}");

        let missing = |used: BTreeSet<String>, named: Vec<HeaderName>| {
            let is_named = |name: &String| {
                SAFE.contains(&&**name)
                    || FORBIDDEN.contains(&&**name)
                    || named.iter().any(|one| one.as_str() == name)
            };
            used.into_iter().filter(|name| !is_named(name)).collect::<Vec<_>>()
        };
        assert_eq!(missing(sent, request_headers()), [""; 0]);
        assert_eq!(missing(read, response_headers()), [""; 0]);
    }

    #[test]
    fn https_is_required_if_the_store_is_reached_by_it() {
        let https_only = |url| security_headers(url, &HttpSettings::default()).https_only;
        assert_eq!(https_only("https://shop.example"), Some(HTTPS_AGE));
        assert_eq!((https_only("http://localhost:8080"), https_only("")), (None, None));
    }
}
