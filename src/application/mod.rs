//! The use cases of a store, in folders by capability.
//!
//! A use case takes a [`Store`], opens its own transactions and returns a [`Failure`] that callers decide on by its
//! kind. The HTTP API, the command line and the worker call the same use cases. They do not depend on axum or on
//! routes; but the input of a use case may be the body of a request (serde, utoipa), and [`idempotency`] stores
//! responses to repeat them.

pub mod audit;
pub mod catalogue;
pub mod consistency;
pub mod demo;
pub mod emails;
pub mod export;
pub mod features;
pub mod files;
pub mod idempotency;
pub mod import;
pub mod jobs;
mod json_lines;
pub(crate) mod partial_update;
pub mod payments;
pub mod people;
pub mod readiness;
pub mod records;
pub mod schema;
pub mod selling;
pub mod subscriptions;
pub mod webhooks;

use std::sync::Arc;

use argon2::Params;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::domain::age::AgeRule;
use crate::domain::audit::Actor;
use crate::domain::country::Country;
use crate::domain::ids::UserId;
use crate::domain::language::Language;
use crate::domain::money::Currency;
use crate::infrastructure::Infrastructure;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound};
use crate::infrastructure::guards::CartBounds;
use crate::infrastructure::middleware::SessionStore;
use crate::infrastructure::repositories::{
    Database, Field, FromRow, SigningKey, Table, UnitOfWork, Versioned,
};

use crate::application::features::Features;
use crate::application::people::access_tokens::KnownKeys;
use crate::application::people::log_in_limits::LogInLimits;
use crate::application::people::passwords::Passwords;
use crate::application::selling::holds::HoldLimits;

/// The most password resets that are processed at the same time.
const MAX_PASSWORD_RESETS: usize = 64;

/// A store: the infrastructure and the terms. Clones share both.
#[derive(Debug, Clone)]
pub struct Store {
    /// The infrastructure.
    pub infrastructure: Infrastructure,
    /// The terms.
    pub terms: Arc<Terms>,
    /// Hashes passwords, a bounded number at the same time, at the recommended cost unless the owner of the store sets
    /// another one.
    pub passwords: Passwords,
    /// How many log-ins may fail; no limits unless the owner of the store sets them.
    pub log_in_limits: LogInLimits,
    /// The feature flags, read for a short time.
    pub(crate) features: Features,
    /// The keys of access tokens, as they were published last.
    pub(crate) published_keys: KnownKeys,
    /// The password resets that may still be processed at the same time.
    pub(crate) password_resets: Arc<Semaphore>,
}

impl Store {
    /// Returns a store with this infrastructure and these terms.
    pub fn new(infrastructure: Infrastructure, terms: Terms) -> Self {
        let ids = Arc::clone(&infrastructure.database.context().ids);
        let passwords = Passwords::new(ids, Params::default());
        let password_resets = Arc::new(Semaphore::new(MAX_PASSWORD_RESETS));
        let log_in_limits = LogInLimits::default();
        Self {
            infrastructure,
            terms: Arc::new(terms),
            passwords,
            log_in_limits,
            features: Features::default(),
            published_keys: KnownKeys::default(),
            password_resets,
        }
    }

    /// Returns the same store, whose transactions record this actor in the audit log.
    #[must_use]
    pub fn acting(&self, actor: Arc<Actor>) -> Self {
        let mut store = self.clone();
        store.infrastructure.database = store.infrastructure.database.acting(actor);
        store
    }

    /// Returns the database.
    pub fn database(&self) -> &Database {
        &self.infrastructure.database
    }

    /// Returns the sessions of users.
    pub(crate) fn sessions(&self) -> &SessionStore {
        &self.infrastructure.sessions
    }

    /// Returns what e-mails about accounts are made from.
    pub(crate) fn mailing(&self) -> Mailing {
        Mailing { key: self.database().signing_key().clone(), terms: Arc::clone(&self.terms) }
    }

    /// Returns the time of the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.database().context().clock.now()
    }
}

/// The terms of a store, which the merchant sets: seller, defaults, times, and when payments are captured.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The seller's name, which is written on invoices.
    pub name: String,
    /// How users of the identity provider become users of the store.
    pub identities: IdentityTerms,
    /// The issuer of access tokens, and the audience of those for the store itself: the URL of the store, if it is
    /// known. All servers of a store have the same.
    pub issuer: String,
    /// The audiences of access tokens for other services.
    pub access_token_audiences: Vec<String>,
    /// The language of names and descriptions beside their translations.
    pub base_language: Language,
    /// The currency of a cart that is created without one.
    pub default_currency: Currency,
    /// The country whose taxes apply until there is an address.
    pub default_country: Country,
    /// The lifetime of a session.
    pub session: SignedDuration,
    /// The time after which a session that is not used ends.
    pub session_idle: SignedDuration,
    /// The retention of a cart that is not changed.
    pub cart: SignedDuration,
    /// How long stock is reserved for a pending order of a user.
    pub reservation: SignedDuration,
    /// How long stock is reserved for a pending order of a guest.
    pub guest_reservation: SignedDuration,
    /// What buyers may hold at once with orders that are not paid; any number if `None`.
    pub holds: Option<HoldLimits>,
    /// How long after the checkout a buyer may cancel a paid order.
    pub cancellation: SignedDuration,
    /// The retention of the response to a request with an idempotency key.
    pub idempotency: SignedDuration,
    /// Whether a checkout captures the payment, or only authorizes it until an administrator captures it.
    pub capture_at_checkout: bool,
    /// The bounds of carts.
    pub cart_bounds: Arc<CartBounds>,
    /// The minimum ages of countries.
    pub age_rules: Arc<[AgeRule]>,
    /// What requires a verified e-mail address.
    pub verified_email: VerifiedEmail,
    /// What the store requires of accounts.
    pub accounts: AccountTerms,
    /// The pages of the shop to which e-mails about accounts lead.
    pub pages: AccountPages,
    /// Whether everyone can read the last e-mails to an address, as developers need it. Only for a store that no
    /// other machine reaches.
    pub sandbox_emails: bool,
}

/// How users of the identity provider become users of the store; by default they do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdentityTerms {
    /// Whether a new customer is created for a subject with a verified e-mail address.
    pub creates_users: bool,
    /// Whether a subject with a verified e-mail address becomes the customer with the same verified address.
    pub links_by_email: bool,
}

impl Terms {
    /// Returns how long stock is reserved for a pending order of a user, or of a guest (`None`).
    pub(crate) fn reservation_of(&self, user_id: Option<UserId>) -> SignedDuration {
        if user_id.is_some() { self.reservation } else { self.guest_reservation }
    }
}

/// What requires a verified e-mail address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifiedEmail {
    /// A checkout, which guests then cannot do.
    pub for_checkout: bool,
    /// A review.
    pub for_reviews: bool,
}

/// What the store requires of accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountTerms {
    /// Whether administrators need one-time passwords: one without them may only enrol an app.
    pub administrators_use_one_time_passwords: bool,
    /// Whether no response says that an e-mail address has an account, if the store sends e-mails: customers then log
    /// in after their address is verified.
    pub hide_registered_addresses: bool,
}

/// The URLs of pages of the shop, with `{token}` where the token is inserted. An e-mail without one has the token
/// alone.
#[derive(Debug, Clone, Default)]
pub struct AccountPages {
    /// The page that verifies an e-mail address.
    pub email_verification: Option<String>,
    /// The page that sets a new password.
    pub password_reset: Option<String>,
}

/// What e-mails about accounts are made from, as a parameter of transactions.
pub(crate) struct Mailing {
    /// The secret from which tokens follow.
    pub(crate) key: SigningKey,
    /// The terms.
    pub(crate) terms: Arc<Terms>,
}

/// Fails with [`Conflict::PreconditionFailed`] if a version is expected and differs from the current one.
pub(crate) fn check_version(version: i64, expected: Option<i64>) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != version => Err(Conflict::PreconditionFailed.into()),
        _ => Ok(()),
    }
}

/// Removes a row that has the expected version, if one is expected; `missing` is the failure if there is no row.
pub(crate) async fn remove_version<T>(
    work: &mut UnitOfWork,
    key: T::Key,
    expected: Option<i64>,
    missing: NotFound,
) -> Result<(), Failure>
where
    T: Versioned + Table<Key: Field + Clone> + FromRow,
{
    let mut row: T = work.lock(key.clone()).await?.ok_or(missing)?;
    check_version(*row.version_mut(), expected)?;
    work.remove::<T>(key).await?;
    Ok(())
}

/// What a change that creates its row if there is none requires of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the row may exist or not.
    None,
    /// There is a row, of any version.
    Exists,
    /// There is a row of this version.
    Version(i64),
    /// There is no row.
    Missing,
}

impl Precondition {
    /// Fails with [`Conflict::PreconditionFailed`] unless the row, of which this is the version, is as required; `None`
    /// is no row.
    pub(crate) fn check(self, version: Option<i64>) -> Result<(), Failure> {
        let is_met = match self {
            Self::None => true,
            Self::Exists => version.is_some(),
            Self::Version(expected) => version == Some(expected),
            Self::Missing => version.is_none(),
        };
        if is_met { Ok(()) } else { Err(Conflict::PreconditionFailed.into()) }
    }
}

/// Returns the first version of a row of which there may have been another one with its key: the time in microseconds,
/// which the versions of that one, increased by one with each change, have not reached.
pub(crate) fn first_version(now: Timestamp) -> i64 {
    now.as_microsecond()
}

/// A change of a row with a version, as the parameters of its transaction.
pub(crate) struct Change<Id, T> {
    /// The row.
    pub(crate) id: Id,
    /// The version that the change expects; any if `None`.
    pub(crate) expected_version: Option<i64>,
    /// The new values.
    pub(crate) to: T,
}

/// Returns the default of an omitted `active` member.
pub(crate) fn active_by_default() -> bool {
    true
}
