//! The settings of the HTTP server.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::non_zero;
use super::readers::{flag_or_auto, parsed_list, positive_seconds, seconds, trusted_proxies};
use crate::infrastructure::middleware::{Origin, SameSiteCookie, TrustedProxies};

/// `[http]`: the limits of the HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Whether browsers send the cookies of the store over HTTPS only; `None` is `auto`: if `public_url` is HTTPS.
    #[serde(deserialize_with = "flag_or_auto")]
    pub secure_cookies: Option<bool>,
    /// Whether browsers use only HTTPS with the subdomains of the host, too, if `public_url` is HTTPS.
    pub https_only_subdomains: bool,
    /// The proxies that report the client of a request.
    #[serde(deserialize_with = "trusted_proxies")]
    pub trusted_proxies: TrustedProxies,
    /// With which requests that another site causes browsers send the session cookie.
    pub cookie_same_site: SameSiteCookie,
    /// The origins whose pages may use the store, also with the session cookie.
    #[serde(deserialize_with = "parsed_list")]
    pub allowed_origins: Vec<Origin>,
    /// The smallest body of a response that is compressed, in bytes; with 0, none is.
    pub compress_from_bytes: u32,
    /// How long caches use the public responses of the catalogue without asking.
    #[serde(rename = "public_max_age_seconds", deserialize_with = "seconds")]
    pub public_max_age: Duration,
    /// How long caches may use them after that, while they ask.
    #[serde(rename = "public_stale_seconds", deserialize_with = "seconds")]
    pub public_stale: Duration,
    /// The largest request body, in bytes; at least 1 MiB where products are written, and 4 MiB where tax
    /// rules and shipping methods are.
    pub body_limit_bytes: NonZeroU32,
    /// The longest time to receive the head of a request.
    #[serde(rename = "header_timeout_seconds", deserialize_with = "positive_seconds")]
    pub header_timeout: Duration,
    /// The longest time to receive the body of a request, and a second more for each 16,000 bytes of it.
    #[serde(rename = "body_timeout_seconds", deserialize_with = "positive_seconds")]
    pub body_timeout: Duration,
    /// The longest time in which a client reads nothing of a response that is sent to it, and all the time that the
    /// server waits for it, with a second more for each 1000 bytes.
    #[serde(rename = "send_timeout_seconds", deserialize_with = "positive_seconds")]
    pub send_timeout: Duration,
    /// The longest time between two requests on a connection.
    #[serde(rename = "idle_timeout_seconds", deserialize_with = "positive_seconds")]
    pub idle_timeout: Duration,
    /// The longest time from a request to the start of its response, and as long as its body took, up to a second for
    /// each 16,000 bytes of it.
    #[serde(rename = "request_timeout_seconds", deserialize_with = "positive_seconds")]
    pub request_timeout: Duration,
    /// The most open connections.
    pub max_connections: NonZeroU32,
    /// The time for which the server still accepts requests when it stops, so that load balancers notice.
    #[serde(rename = "shutdown_delay_seconds", deserialize_with = "seconds")]
    pub shutdown_delay: Duration,
    /// The longest time for running requests to complete after that.
    #[serde(rename = "shutdown_grace_seconds", deserialize_with = "seconds")]
    pub shutdown_grace: Duration,
}

/// The attributes of the cookies of the store.
#[derive(Clone, Copy, Debug)]
pub struct CookieAttributes {
    /// Whether browsers send them over HTTPS only.
    pub secure: bool,
    /// With which requests that another site causes browsers send them.
    pub same_site: SameSiteCookie,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            secure_cookies: None,
            https_only_subdomains: false,
            trusted_proxies: TrustedProxies::default(),
            cookie_same_site: SameSiteCookie::Lax,
            allowed_origins: Vec::new(),
            compress_from_bytes: 1024,
            public_max_age: Duration::from_secs(10),
            public_stale: Duration::from_mins(1),
            body_limit_bytes: non_zero(64 << 10),
            header_timeout: Duration::from_secs(8),
            body_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(8),
            idle_timeout: Duration::from_mins(1),
            request_timeout: Duration::from_mins(1),
            max_connections: non_zero(10_000),
            shutdown_delay: Duration::ZERO,
            shutdown_grace: Duration::from_secs(30),
        }
    }
}
