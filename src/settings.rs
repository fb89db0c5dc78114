//! The settings of a store. The file overrides the defaults, the environment the file, and flags the environment.
//!
//! An invalid value is refused at the start, with its file or variable and its key. `undercroft.example.toml`
//! documents all settings with their defaults.

mod authentication;
mod caches;
mod combined;
mod explained;
mod holds;
mod http_settings;
mod layers;
mod log;
#[cfg(test)]
mod messages;
mod overload;
mod passwords;
mod payments;
mod rate_limits;
mod readers;
mod requirements;
mod telemetry;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use http::Uri;
use serde::Deserialize;

use crate::domain::{country::Country, host::is_this_machine, language::Language, money::Currency};
use crate::infrastructure::adapters::{CertificateAuthorities, FilesUrl, MailSender, MailUrl};
use crate::infrastructure::cache::CacheUrl;
use crate::infrastructure::events::{EventsUrl, Mode};
use crate::infrastructure::middleware::{SameSiteCookie, SessionsUrl};
use crate::infrastructure::repositories::DatabaseUrl;

pub use self::authentication::AuthenticationSettings;
pub use self::caches::CacheSettings;
pub use self::holds::HoldSettings;
pub use self::http_settings::{CookieAttributes, HttpSettings};
pub use self::log::{LogFormat, LogSettings, LoggedAddress};
pub use self::overload::OverloadSettings;
pub use self::passwords::PasswordSettings;
pub use self::payments::{PaymentSettings, Sandbox};
pub use self::rate_limits::RateLimitSettings;
use self::readers::{
    authorities, broker_name, currency_or_auto, database_url, hidden, hidden_or_none,
    optional_socket_address, page_url, parsed, parsed_url, public_url, section, socket_address,
};
pub use self::requirements::{RequirementSettings, VerifiedEmailFor};
pub use self::telemetry::TelemetrySettings;
pub use layers::{SettingsError, environment, load, of_flags};

/// The prefix of the environment variables; every variable with it must be a setting.
pub const PREFIX: &str = "UNDERCROFT_";

/// The example file: every key with its default.
pub const EXAMPLE: &str = include_str!("../undercroft.example.toml");

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The URL of the database.
    #[serde(deserialize_with = "database_url")]
    pub database: DatabaseUrl,
    /// The address and the port to listen on; port 0 selects a free port.
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// The URL at which clients reach the store, without a slash at the end; empty if it is not known.
    #[serde(deserialize_with = "public_url")]
    pub public_url: String,
    /// Where the processes of the store have what they share and may lose.
    #[serde(deserialize_with = "hidden")]
    pub cache: CacheUrl,
    /// Where the sessions of users are.
    #[serde(deserialize_with = "hidden")]
    pub sessions: SessionsUrl,
    /// The certificate authorities of servers that the store calls over HTTPS: the public ones, and those of the file
    /// that the setting names.
    #[serde(deserialize_with = "authorities")]
    pub ca_certificates: CertificateAuthorities,
    /// The caches.
    #[serde(deserialize_with = "section")]
    pub caches: CacheSettings,
    /// The terms of the store.
    #[serde(deserialize_with = "section")]
    pub store: StoreSettings,
    /// What the store requires of carts and users.
    #[serde(deserialize_with = "section")]
    pub requirements: RequirementSettings,
    /// What the hash of a password costs.
    #[serde(deserialize_with = "section")]
    pub passwords: PasswordSettings,
    /// What buyers may hold at once with orders that are not paid.
    #[serde(deserialize_with = "section")]
    pub holds: HoldSettings,
    /// The pages of the shop to which e-mails lead.
    #[serde(deserialize_with = "section")]
    pub pages: PageSettings,
    /// The limits of calls to payment providers.
    #[serde(deserialize_with = "section")]
    pub payments: PaymentSettings,
    /// The broker that carries events.
    #[serde(deserialize_with = "section")]
    pub events: EventSettings,
    /// The mail server.
    #[serde(deserialize_with = "section")]
    pub mail: MailSettings,
    /// The file storage.
    #[serde(deserialize_with = "section")]
    pub files: FileSettings,
    /// Which webhook endpoints are allowed.
    #[serde(deserialize_with = "section")]
    pub webhooks: WebhookSettings,
    /// The limits of the HTTP server.
    #[serde(deserialize_with = "section")]
    pub http: HttpSettings,
    /// By whom users are authenticated beside the store.
    #[serde(deserialize_with = "section")]
    pub authentication: AuthenticationSettings,
    /// How often something may be done.
    #[serde(deserialize_with = "section")]
    pub rate_limits: RateLimitSettings,
    /// What happens to requests when there are too many.
    #[serde(deserialize_with = "section")]
    pub overload: OverloadSettings,
    /// The metrics.
    #[serde(deserialize_with = "section")]
    pub metrics: MetricsSettings,
    /// The collector of traces and metrics.
    #[serde(deserialize_with = "section")]
    pub telemetry: TelemetrySettings,
    /// The log.
    #[serde(deserialize_with = "section")]
    pub log: LogSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: DatabaseUrl::Sqlite("undercroft.db".into()),
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            public_url: String::new(),
            cache: CacheUrl::Memory,
            sessions: SessionsUrl::Database,
            ca_certificates: CertificateAuthorities::default(),
            caches: CacheSettings::default(),
            store: StoreSettings::default(),
            requirements: RequirementSettings::default(),
            passwords: PasswordSettings::default(),
            holds: HoldSettings::default(),
            pages: PageSettings::default(),
            payments: PaymentSettings::default(),
            events: EventSettings::default(),
            mail: MailSettings::default(),
            files: FileSettings::default(),
            webhooks: WebhookSettings::default(),
            http: HttpSettings::default(),
            authentication: AuthenticationSettings::default(),
            rate_limits: RateLimitSettings::default(),
            overload: OverloadSettings::default(),
            metrics: MetricsSettings::default(),
            telemetry: TelemetrySettings::default(),
            log: LogSettings::default(),
        }
    }
}

impl Settings {
    /// Returns whether the store has the sandbox.
    pub fn has_sandbox(&self) -> bool {
        match self.payments.sandbox {
            Sandbox::Local => self.public_address().is_none(),
            Sandbox::Enabled => true,
            Sandbox::Disabled => false,
        }
    }

    /// Returns whether developers read e-mails in the sandbox: with the sandbox, if only this machine reaches the
    /// store, and no mail server gets them.
    pub fn has_sandbox_emails(&self) -> bool {
        self.has_sandbox() && self.public_address().is_none() && !self.has_mail_server()
    }

    /// Returns whether no response says that an e-mail address has an account: customers then log in after their
    /// address is verified, for which a mail server has to send them the link to a page.
    pub fn hides_registered_addresses(&self) -> bool {
        let can_verify = || self.has_mail_server() && self.pages.email_verification.is_some();
        self.requirements.hide_registered_addresses.unwrap_or_else(can_verify)
    }

    fn has_mail_server(&self) -> bool {
        matches!(self.mail.url, Some(MailUrl::Smtp(_)))
    }

    /// Returns the attributes of cookies: `SameSite=None` requires HTTPS.
    pub fn cookies(&self) -> CookieAttributes {
        let same_site = self.http.cookie_same_site;
        let secure = self.http.secure_cookies.unwrap_or_else(|| self.public_url.starts_with("https:"));
        CookieAttributes { secure: secure || same_site == SameSiteCookie::None, same_site }
    }

    /// Returns what other machines reach, in words: the address, the URL, or the proxies of the store. `None` if only
    /// this machine reaches it, and no proxy is trusted.
    pub fn public_address(&self) -> Option<String> {
        if !self.listen.ip().to_canonical().is_loopback() {
            return Some(self.listen.to_string());
        }
        if !self.http.trusted_proxies.is_empty() {
            return Some("the proxies of `http.trusted_proxies`".to_owned());
        }
        let is_other = |url: Uri| url.host().is_some_and(|host| !is_this_machine(host));
        let is_public = self.public_url.parse().is_ok_and(is_other);
        is_public.then(|| self.public_url.clone())
    }
}

/// `[store]`: the terms of the store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Whether a server adds a demo catalogue to an empty database.
    pub demo: bool,
    /// The seller's name on the invoices of new orders.
    pub name: String,
    /// The language of names and descriptions beside their translations (BCP 47).
    #[serde(deserialize_with = "parsed")]
    pub base_language: Language,
    /// The currency of a request that names none (ISO 4217); `None` is `auto`, that of the store's first import.
    #[serde(deserialize_with = "currency_or_auto")]
    pub default_currency: Option<Currency>,
    /// The country whose taxes apply until there is an address (ISO 3166-1 alpha-2).
    #[serde(deserialize_with = "parsed")]
    pub default_country: Country,
    /// The lifetime of a session, in days.
    pub session_days: NonZeroU32,
    /// The time after which a session that is not used ends, in hours.
    pub session_idle_hours: NonZeroU32,
    /// The retention of a cart that is not changed, in days.
    pub cart_days: NonZeroU32,
    /// How long stock is reserved for a pending order of a user, in minutes.
    pub reservation_minutes: NonZeroU32,
    /// How long stock is reserved for a pending order of a guest, in minutes.
    pub guest_reservation_minutes: NonZeroU32,
    /// How long after the checkout a buyer may cancel a paid order, in days.
    pub cancellation_days: u32,
    /// The retention of the response to a request with an idempotency key, in hours.
    pub idempotency_hours: NonZeroU32,
    /// When a payment is captured.
    pub capture: Capture,
}

/// `[pages]`: the pages of the shop to which e-mails lead.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PageSettings {
    /// The URL of the page that verifies an e-mail address, with `{token}`; `None` if there is none.
    #[serde(deserialize_with = "page_url")]
    pub email_verification: Option<String>,
    /// The URL of the page that sets a new password, with `{token}`; `None` if there is none.
    #[serde(deserialize_with = "page_url")]
    pub password_reset: Option<String>,
}

/// When a payment is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capture {
    /// By the checkout.
    Automatic,
    /// By an administrator; the checkout only authorizes it.
    Manual,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            demo: true,
            name: "Undercroft".into(),
            base_language: Language::EN,
            default_currency: None,
            default_country: Country::DE,
            session_days: non_zero(30),
            session_idle_hours: non_zero(14 * 24),
            cart_days: non_zero(30),
            reservation_minutes: non_zero(30),
            guest_reservation_minutes: non_zero(15),
            cancellation_days: 14,
            idempotency_hours: non_zero(24),
            capture: Capture::Automatic,
        }
    }
}

/// `[events]`: the broker that carries events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventSettings {
    /// The URL of the broker, or `database:`.
    #[serde(deserialize_with = "hidden")]
    pub url: EventsUrl,
    /// The beginning of the names of all that the store has at the broker.
    #[serde(deserialize_with = "broker_name")]
    pub name: String,
    /// How a message contains an event.
    pub mode: Mode,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { url: EventsUrl::Database, name: "undercroft".into(), mode: Mode::Structured }
    }
}

/// `[mail]`: the mail server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// The URL of the mail server; `None` if the store sends no e-mails.
    #[serde(deserialize_with = "hidden_or_none")]
    pub url: Option<MailUrl>,
    /// The sender of the e-mails.
    #[serde(deserialize_with = "parsed")]
    pub sender: MailSender,
}

/// `[files]`: the file storage.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSettings {
    /// The URL of the file storage.
    #[serde(deserialize_with = "parsed_url")]
    pub url: FilesUrl,
    /// The largest file, in bytes.
    pub limit_bytes: NonZeroU32,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { url: FilesUrl::Folder("./files".into()), limit_bytes: non_zero(20 << 20) }
    }
}

/// `[webhooks]`: which webhook endpoints are allowed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// Whether endpoints may have addresses that are not public, and HTTP.
    pub allow_private: bool,
}

/// `[metrics]`: the metrics.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// The address and the port at which metrics are read; `None` if they are not.
    #[serde(deserialize_with = "optional_socket_address")]
    pub listen: Option<SocketAddr>,
}

/// Returns a default that is not zero.
const fn non_zero(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}
