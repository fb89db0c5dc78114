//! Opens the store that the settings describe, for all commands.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::{
    application::{
        AccountPages, AccountTerms, IdentityTerms, Store, Terms, VerifiedEmail,
        catalogue::store_currency,
        people::log_in_limits::LogInLimits,
        people::passwords::Passwords,
        selling::holds::{HoldLimit, HoldLimits},
    },
    domain::{audit::Actor, cart::MAX_LINES, context::Context, digest::first_u64, money::Currency},
    infrastructure::{
        Infrastructure,
        adapters::{AdapterSettings, CallLimits, Files, KeySetClient, Mail},
        cache::{CacheOptions, CacheUrl, Redis},
        events::transports,
        guards::CartBounds,
        middleware::jwt::{Expected, TrustedIssuer},
        middleware::{RateLimiter, SessionStore},
        repositories::{Database, DatabaseError, Setup},
    },
    settings::{
        Capture, HoldSettings, PaymentSettings, RateLimitSettings, RequirementSettings, Settings,
        StoreSettings, VerifiedEmailFor,
    },
};

/// Opens the store that the settings describe; `setup` says what to do with an empty or older database.
pub async fn open_store(settings: &Settings, setup: Setup) -> Result<Store, DatabaseError> {
    let cost = settings.passwords.cost().map_err(DatabaseError::Internal)?;
    let database = Database::open(&settings.database, Context::system(), setup).await?;
    let currency = currency(&settings.store, &database).await?;
    let clock = Arc::clone(&database.context().clock);
    let mut infrastructure = Infrastructure::new(database, adapters(settings));
    let secret = infrastructure.database.signing_key().sign("the keys of rate limits", &[]);
    let service = format!("{:016x}", first_u64(&secret));
    // the reader of the setting has checked the URL, and Redis need not be there yet
    if let Ok(limiter) = RateLimiter::open(&settings.cache, &service, clock) {
        infrastructure.limiter = limiter;
    }
    let sessions = SessionStore::open(&settings.sessions, infrastructure.database.clone());
    infrastructure.sessions =
        sessions.map_err(|error| DatabaseError::Internal(format!("`sessions` cannot be used: {error}")))?;
    let caches = CacheOptions {
        verify: settings.caches.verify,
        limits: settings.caches.limit_bytes.clone(),
        ..CacheOptions::default()
    };
    infrastructure = infrastructure.with_caches(caches, redis(&settings.cache));
    let overload = infrastructure.overload.filter(|_| settings.overload.enabled);
    infrastructure.overload = overload.map(|limiter| limiter.with_target(settings.overload.wait()));
    if let Some(transport) = transports::open(&settings.events.url, &settings.events.name) {
        infrastructure = infrastructure.with_broker(transport, settings.events.mode);
    }
    infrastructure.issuer = trusted_issuer(settings);
    infrastructure.sampled = settings.telemetry.sampled();
    let issuer = issuer(settings, &infrastructure.database);
    let mut store = Store::new(infrastructure, terms(settings, currency, issuer));
    store.passwords = Passwords::new(Arc::clone(&store.database().context().ids), cost);
    store.log_in_limits = log_in_limits(&settings.rate_limits);
    Ok(store)
}

/// Returns the connection to the Redis of the caches, if there is one, which need not be there yet.
pub(super) fn redis(cache: &CacheUrl) -> Option<Redis> {
    match cache {
        CacheUrl::Memory => None,
        // the reader of the setting has checked the URL
        CacheUrl::Redis(url) => Redis::new(url).ok().map(|redis| redis.named("cache", "caches")),
    }
}

/// Opens the store for a command that manages it, such as `jobs run`: there must be one. The audit log records the
/// command.
pub(super) async fn open_to_change(settings: &Settings, command: &str) -> Result<Store, DatabaseError> {
    open_as(settings, Setup::Existing, command).await
}

/// Opens the store for a command that begins one, such as `import`: an empty database is set up. The audit log records
/// the command.
pub(super) async fn open_or_set_up(settings: &Settings, command: &str) -> Result<Store, DatabaseError> {
    open_as(settings, Setup::IfEmpty, command).await
}

async fn open_as(settings: &Settings, setup: Setup, command: &str) -> Result<Store, DatabaseError> {
    let store = open_store(settings, setup).await?;
    Ok(store.acting(Arc::new(Actor::command(command))))
}

/// Returns the currency of requests that name none: that of the settings, or of the store's first import.
pub(super) async fn currency(
    settings: &StoreSettings,
    database: &Database,
) -> Result<Currency, DatabaseError> {
    if let Some(currency) = settings.default_currency {
        return Ok(currency);
    }
    let found = store_currency::find(&mut database.read().await?).await?;
    Ok(found.unwrap_or(Currency::EUR))
}

/// Returns the store's vendors and the limits of calls to them.
fn adapters(settings: &Settings) -> AdapterSettings {
    let PaymentSettings { provider_timeout: timeout, provider_concurrency, .. } = settings.payments;
    let concurrency = usize::try_from(provider_concurrency.get()).unwrap_or(usize::MAX);
    AdapterSettings {
        calls: CallLimits { timeout, concurrency },
        sandbox: settings.has_sandbox(),
        public_url: settings.public_url.clone(),
        mail: settings.mail.url.as_ref().and_then(|url| Mail::new(url, &settings.mail.sender).ok()),
        files: files(settings),
        private_webhooks: settings.webhooks.allow_private,
        authorities: settings.ca_certificates.clone(),
    }
}

/// Returns the identity provider whose tokens are accepted.
fn trusted_issuer(settings: &Settings) -> Option<TrustedIssuer> {
    let (settings, authorities) = (&settings.authentication, &settings.ca_certificates);
    let expected = Expected {
        issuer: settings.issuer.clone()?,
        audience: settings.audience.clone(),
        parties: settings.authorized_parties.clone(),
        // not every provider names the type of its access tokens as RFC 9068 does
        types: vec![None, Some("jwt"), Some("at+jwt")],
        algorithms: settings.algorithms.clone(),
    };
    Some(TrustedIssuer::new(expected, KeySetClient::new(authorities)))
}

/// Returns the file storage. A folder that is not absolute is beside the file of the database, if it is one.
fn files(settings: &Settings) -> Files {
    let beside = settings.database.file().and_then(|file| file.parent()).unwrap_or_else(|| Path::new(""));
    let limit = usize::try_from(settings.files.limit_bytes.get()).unwrap_or(usize::MAX);
    Files::new(&settings.files.url, beside, limit)
}

/// Returns how many log-ins may fail.
fn log_in_limits(settings: &RateLimitSettings) -> LogInLimits {
    if !settings.enabled {
        return LogInLimits::default();
    }
    LogInLimits {
        account_and_address: settings.failed_log_ins,
        address: settings.failed_log_ins_address,
        account: settings.failed_log_ins_account,
    }
}

/// Returns the issuer of access tokens: the URL of the store or, if it is not known, a name that follows from the
/// secret of the store, so that its servers accept the tokens of each other.
fn issuer(settings: &Settings, database: &Database) -> String {
    if !settings.public_url.is_empty() {
        return settings.public_url.clone();
    }
    let number = first_u64(&database.signing_key().sign("the issuer of access tokens", &[]));
    format!("urn:undercroft:{number:016x}")
}

/// Returns the store's terms.
fn terms(settings: &Settings, default_currency: Currency, issuer: String) -> Terms {
    let (sandbox_emails, pages) = (settings.has_sandbox_emails(), settings.pages.clone());
    let (requirements, holds) = (&settings.requirements, hold_limits(&settings.holds));
    let hide_registered_addresses = settings.hides_registered_addresses();
    let identities = IdentityTerms {
        creates_users: settings.authentication.create_users,
        links_by_email: settings.authentication.link_by_email,
    };
    let access_token_audiences = settings.authentication.access_token_audiences.clone();
    let settings = &settings.store;
    let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    Terms {
        name: settings.name.clone(),
        identities,
        issuer,
        access_token_audiences,
        base_language: settings.base_language,
        default_currency,
        default_country: settings.default_country,
        session: days(settings.session_days.get()),
        session_idle: SignedDuration::from_hours(settings.session_idle_hours.get().into()),
        cart: days(settings.cart_days.get()),
        reservation: SignedDuration::from_mins(settings.reservation_minutes.get().into()),
        guest_reservation: SignedDuration::from_mins(settings.guest_reservation_minutes.get().into()),
        holds,
        cancellation: days(settings.cancellation_days),
        idempotency: SignedDuration::from_hours(settings.idempotency_hours.get().into()),
        capture_at_checkout: settings.capture == Capture::Automatic,
        cart_bounds: Arc::new(cart_bounds(requirements)),
        age_rules: requirements.minimum_ages.as_slice().into(),
        verified_email: VerifiedEmail {
            for_checkout: requirements.verified_email_for.contains(&VerifiedEmailFor::Checkout),
            for_reviews: requirements.verified_email_for.contains(&VerifiedEmailFor::Reviews),
        },
        accounts: AccountTerms {
            administrators_use_one_time_passwords: requirements.administrators_use_one_time_passwords,
            hide_registered_addresses,
        },
        pages: AccountPages {
            email_verification: pages.email_verification,
            password_reset: pages.password_reset,
        },
        sandbox_emails,
    }
}

/// Returns what buyers may hold at once.
fn hold_limits(settings: &HoldSettings) -> Option<HoldLimits> {
    let number = |number: NonZeroU32| number.get().into();
    let limits = HoldLimits {
        address: HoldLimit {
            orders: number(settings.orders_per_address),
            pieces: number(settings.pieces_per_address),
        },
        user: HoldLimit {
            orders: number(settings.orders_per_user),
            pieces: number(settings.pieces_per_user),
        },
        pieces_per_order: number(settings.pieces_per_order),
    };
    settings.enabled.then_some(limits)
}

/// Returns the bounds of carts.
fn cart_bounds(settings: &RequirementSettings) -> CartBounds {
    let subtotals = settings.cart_minimum_subtotals.iter();
    CartBounds {
        max_lines: usize::try_from(settings.cart_max_lines.get())
            .map_or(MAX_LINES, |lines| lines.min(MAX_LINES)),
        minimum_subtotals: subtotals.map(|minimum| (minimum.currency, minimum.amount)).collect(),
        currencies: settings.cart_currencies.iter().copied().collect(),
    }
}
