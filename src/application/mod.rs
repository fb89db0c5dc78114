//! Use cases, one file each: what a store can do, whoever asks. No HTTP here.

pub mod catalogue;
pub mod consistency;
pub mod demo;
pub mod export;
pub mod idempotency;
pub mod import;
pub mod jobs;
mod json_lines;
pub(crate) mod partial_update;
pub mod payments;
pub mod people;
pub mod selling;
pub mod subscriptions;

use std::sync::Arc;

use jiff::SignedDuration;

use crate::domain::country::Country;
use crate::domain::money::Currency;
use crate::infrastructure::Infrastructure;
use crate::infrastructure::exceptions::{Conflict, Failure};
use crate::infrastructure::repositories::Database;

use crate::application::people::passwords::Passwords;

/// A store: its rooms and its rules. Clones share everything.
#[derive(Debug, Clone)]
pub struct Store {
    /// The rooms.
    pub infrastructure: Infrastructure,
    /// What its owner decided.
    pub policy: Arc<Policy>,
    /// What hashes passwords, a few at once.
    pub passwords: Passwords,
}

impl Store {
    /// A store with these rooms and rules.
    pub fn new(infrastructure: Infrastructure, policy: Policy) -> Self {
        let passwords = Passwords::new(Arc::clone(&infrastructure.database.context().ids));
        Self { infrastructure, policy: Arc::new(policy), passwords }
    }

    /// Where everything is kept.
    pub fn database(&self) -> &Database {
        &self.infrastructure.database
    }
}

/// What a store's owner decided.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The store's name.
    pub name: String,
    /// The currency of a cart for which none was asked.
    pub default_currency: Currency,
    /// The country whose taxes are shown before there is an address.
    pub default_country: Country,
    /// How long a user stays logged in.
    pub session: SignedDuration,
    /// How long a cart that nobody touches is kept.
    pub cart: SignedDuration,
    /// How long stock stays reserved for an order whose payment is pending.
    pub reservation: SignedDuration,
    /// How long the answer to a request with an idempotency key is kept.
    pub idempotency: SignedDuration,
    /// Whether a checkout takes the money at once or only holds it until an administrator captures.
    pub capture_at_checkout: bool,
}

/// Refuses unless what is there has the version that was seen, if one was named.
pub(crate) fn check_version(version: i64, seen: Option<i64>) -> Result<(), Failure> {
    match seen {
        Some(seen) if seen != version => Err(Conflict::PreconditionFailed.into()),
        _ => Ok(()),
    }
}

/// Returns the default of an omitted `active` member.
pub(crate) fn active_by_default() -> bool {
    true
}
