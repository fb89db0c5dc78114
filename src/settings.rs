//! The settings of a store: defaults, over them the file, over it the environment, over that the flags.
//!
//! A value that cannot be right is refused when it is read, with the file or variable and the key it stands in.
//! `undercroft.example.toml` lists all of them with their defaults and what they mean.

mod layers;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};
use tracing_subscriber::filter::{LevelFilter, Targets};

pub use layers::{SettingsError, environment, load};

/// The settings file to start from: every key with its default.
pub const EXAMPLE: &str = include_str!("../undercroft.example.toml");

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `sqlite:FILE` or `postgres://…`. A secret, since it may hold a password.
    pub database: SecretString,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What the shop itself wants.
    pub store: StoreSettings,
    /// The limits of the HTTP server.
    pub http: HttpSettings,
    /// What is logged, and how.
    pub log: LogSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: "sqlite:undercroft.db".into(),
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            store: StoreSettings::default(),
            http: HttpSettings::default(),
            log: LogSettings::default(),
        }
    }
}

/// `[store]`: what the shop itself wants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Whether a server that finds its database empty fills in a small catalogue to try things out.
    pub demo: bool,
    /// The seller's name on the invoices of orders from now on.
    pub name: String,
    /// The currency of a cart for which none was asked (ISO 4217).
    #[serde(deserialize_with = "currency_code")]
    pub default_currency: String,
    /// The country whose taxes are shown before there is an address (ISO 3166-1 alpha-2).
    #[serde(deserialize_with = "country_code")]
    pub default_country: String,
    /// How long a user stays logged in.
    pub session_days: NonZeroU32,
    /// How long an untouched cart is kept.
    pub cart_days: NonZeroU32,
    /// How long stock stays reserved for an unpaid order.
    pub reservation_minutes: NonZeroU32,
    /// How long the answer to a keyed request is kept.
    pub idempotency_hours: NonZeroU32,
    /// When a checkout takes the money.
    pub capture: Capture,
}

/// When a checkout takes the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capture {
    /// At once.
    Automatic,
    /// When an administrator says so; until then it is only held.
    Manual,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            demo: true,
            name: "Undercroft".into(),
            default_currency: "EUR".into(),
            default_country: "DE".into(),
            session_days: non_zero(30),
            cart_days: non_zero(30),
            reservation_minutes: non_zero(30),
            idempotency_hours: non_zero(24),
            capture: Capture::Automatic,
        }
    }
}

/// `[http]`: the limits of the HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Whether browsers may send the session's cookie over HTTPS only.
    pub secure_cookies: bool,
    /// The largest body that is read.
    pub body_limit_bytes: NonZeroU32,
    /// How long the head of a request may take to arrive.
    #[serde(rename = "header_timeout_seconds", deserialize_with = "some_seconds")]
    pub header_timeout: Duration,
    /// How long the body of a request may take to arrive.
    #[serde(rename = "body_timeout_seconds", deserialize_with = "some_seconds")]
    pub body_timeout: Duration,
    /// How long a connection may stay open between two requests.
    #[serde(rename = "idle_timeout_seconds", deserialize_with = "some_seconds")]
    pub idle_timeout: Duration,
    /// How long a request may take in all, until its answer begins.
    #[serde(rename = "request_timeout_seconds", deserialize_with = "some_seconds")]
    pub request_timeout: Duration,
    /// How many connections may be open at once.
    pub max_connections: NonZeroU32,
    /// How long running requests may go on after the order to stop.
    #[serde(rename = "shutdown_grace_seconds", deserialize_with = "seconds")]
    pub shutdown_grace: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            secure_cookies: false,
            body_limit_bytes: non_zero(1 << 20),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            request_timeout: Duration::from_mins(1),
            max_connections: non_zero(10_000),
            shutdown_grace: Duration::from_secs(30),
        }
    }
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// How much, and where from.
    #[serde(deserialize_with = "log_level")]
    pub level: Targets,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: Targets::new().with_default(LevelFilter::INFO) }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// A default that is not zero.
const fn non_zero(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u32::deserialize(deserializer).map(|seconds| Duration::from_secs(seconds.into()))
}

fn some_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    NonZeroU32::deserialize(deserializer).map(|seconds| Duration::from_secs(seconds.get().into()))
}

fn currency_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let code = String::deserialize(deserializer)?;
    match iso_currency::Currency::from_code(&code) {
        Some(_) => Ok(code),
        None => Err(de::Error::custom(format!("`{code}` is no currency of ISO 4217, such as EUR"))),
    }
}

fn country_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let code = String::deserialize(deserializer)?;
    if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(code)
    } else {
        Err(de::Error::custom(format!("`{code}` is no country of ISO 3166-1, such as DE")))
    }
}

/// `Targets` takes a misspelt level for a target's name, which would turn everything else off.
fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Targets, D::Error> {
    let text = String::deserialize(deserializer)?;
    for part in text.split(',').map(str::trim) {
        if !part.contains('=') && part.parse::<LevelFilter>().is_err() {
            return Err(de::Error::custom(format!(
                "`{part}` is neither a level (off, error, warn, info, debug, trace) nor target=level"
            )));
        }
    }
    text.parse().map_err(de::Error::custom)
}
