//! The demo catalogue that a server adds to a new store, with an administrator.

use std::io::{self, Cursor};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::Store;
use super::import::line::{Fields, Rejection};
use super::import::readers::{Dialect, Format, Options};
use super::import::run::{ImportError, Observer, check, import};
use super::import::write_options::ExistingProducts;
use crate::application::people::accounts::{CreateUser, make_admin};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{DatabaseError, ProductRepository, SettingsRepository};

/// The lines of tax rules, shipping methods, discounts, categories and products.
const LINES: &str =
    concat!(include_str!("../../demo/terms.jsonl"), include_str!("../../demo/catalogue.jsonl"));

/// The codes of the demo's discounts.
pub const DISCOUNTS: [&str; 2] = ["WELCOME10", "FIVEOFF"];

/// The key of the store's setting that records the progress of the demo.
const PROGRESS: &str = "demo";
const STARTED: &str = "begun";
const DONE: &str = "done";

/// The credentials of the administrator.
#[derive(Debug)]
pub struct Login {
    /// The e-mail address.
    pub email: String,
    /// The password, of which only the hash is stored.
    pub password: SecretString,
}

/// Returns whether the demo must be added: the store is new, or an earlier start was interrupted before the
/// administrator was created.
pub async fn is_due(store: &Store) -> Result<bool, Failure> {
    if store.database().is_new() {
        let started: Result<(), DatabaseError> = store
            .database()
            .write((), async |work, ()| SettingsRepository::set(work, PROGRESS, STARTED).await)
            .await;
        started?;
        return Ok(true);
    }
    let progress = SettingsRepository(&mut store.database().read().await?).find(PROGRESS).await?;
    Ok(progress.is_some_and(|progress| progress == STARTED))
}

/// Returns whether a store for which the demo is not due has no product: its database was set up by another command.
pub async fn is_missed(store: &Store) -> Result<bool, Failure> {
    let mut connection = store.database().read().await?;
    Ok(!ProductRepository(&mut connection).has_any().await?)
}

/// Adds the demo catalogue, unless it exists.
pub async fn fill(store: &Store) -> Result<(), ImportError> {
    let open = || Ok(Cursor::new(LINES));
    let (created_at, base_language) = (store.now(), store.terms.base_language);
    let options =
        Options { format: Some(Format::JsonLines), created_at, base_language, ..Options::default() };
    let checked = check(open, &options, &mut LogRejections)?;
    import(store, open, checked, ExistingProducts::Keep, &mut LogRejections).await.map(drop)
}

/// Creates the administrator with a random password, which completes the demo.
pub async fn admin(store: &Store) -> Result<Login, Failure> {
    let mut secret = [0; 15];
    store.database().context().ids.secret(&mut secret);
    let password: SecretString = URL_SAFE_NO_PAD.encode(secret).into();
    let email = "admin@undercroft.example".to_owned();
    let new = CreateUser {
        email: email.clone(),
        password: password.clone(),
        name: Some("Administrator".to_owned()),
        birth_date: None,
        locale: None,
    };
    let password_hash = store.passwords.hash(&password).await?;
    let write = store.database().write((new, password_hash), async |work, (new, password_hash)| {
        SettingsRepository::set(work, PROGRESS, DONE).await?;
        make_admin(work, new, None, password_hash).await
    });
    write.await?;
    Ok(Login { email, password })
}

/// Logs rejected lines. A test checks that there are none.
struct LogRejections;

impl Observer for LogRejections {
    fn opened(&mut self, _: &Fields, _: Dialect) -> io::Result<()> {
        Ok(())
    }

    fn checked(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn committed(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn rejected(&mut self, rejection: &Rejection) -> io::Result<()> {
        tracing::error!(
            line = rejection.line.number,
            detail = rejection.detail,
            "a line of the demo was rejected"
        );
        Ok(())
    }
}
