//! From the settings to a store: what every command that touches one begins with.

use std::{str::FromStr, sync::Arc};

use jiff::SignedDuration;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use super::CliError;
use crate::{
    application::{Policy, Store},
    domain::{context::Context, ports::PaymentGateway},
    infrastructure::{
        Infrastructure,
        adapters::{
            Gateways,
            sandbox::{Notice, SandboxPayments},
        },
        repositories::{Database, Setup},
    },
    settings::{Capture, Settings, StoreSettings},
};

/// Notices of the sandbox that may wait to be followed; a vendor that finds no room repeats them.
const NOTICES: usize = 1024;

/// A store that is open, with what only `serve` needs beside it.
pub(super) struct Opened {
    /// The store.
    pub store: Store,
    /// The sandbox's bank.
    pub sandbox: Arc<SandboxPayments>,
    /// What the vendors say by themselves.
    pub notices: mpsc::Receiver<Notice>,
}

/// Opens the store that the settings describe; an empty database is set up.
pub(super) async fn open(settings: &Settings, setup: Setup) -> Result<Opened, CliError> {
    let policy = policy(&settings.store)?;
    let database = Database::open(settings.database.expose_secret(), Context::system(), setup).await?;
    let (sender, notices) = mpsc::channel(NOTICES);
    let sandbox = Arc::new(SandboxPayments::new(database.clone(), sender));
    let gateways = Gateways::new([Arc::clone(&sandbox) as Arc<dyn PaymentGateway>]);
    let store = Store::new(Infrastructure { database, gateways }, policy);
    Ok(Opened { store, sandbox, notices })
}

/// What the store's owner decided.
fn policy(settings: &StoreSettings) -> Result<Policy, CliError> {
    let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    Ok(Policy {
        name: settings.name.clone(),
        default_currency: parsed("store.default_currency", &settings.default_currency)?,
        default_country: parsed("store.default_country", &settings.default_country)?,
        session: days(settings.session_days.get()),
        cart: days(settings.cart_days.get()),
        reservation: SignedDuration::from_mins(settings.reservation_minutes.get().into()),
        idempotency: SignedDuration::from_hours(settings.idempotency_hours.get().into()),
        capture_at_checkout: settings.capture == Capture::Automatic,
    })
}

fn parsed<T: FromStr<Err: ToString>>(key: &'static str, text: &str) -> Result<T, CliError> {
    text.parse().map_err(|error: T::Err| CliError::Setting { key, why: error.to_string() })
}
