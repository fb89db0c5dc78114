//! A small market hall to try things out in: what a new store holds unless it is told to stay empty.

use std::io::{self, Cursor};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::Store;
use super::import::line::{Fields, Rejection};
use super::import::readers::{Format, Options};
use super::import::run::{ImportError, Observer, check, import};
use crate::application::people::accounts::{CreateUser, make_admin};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::SettingsRepository;

/// What is sold, and on which terms.
const LINES: &str =
    concat!(include_str!("../../demo/terms.jsonl"), include_str!("../../demo/catalogue.jsonl"));

/// The discounts that can be tried.
pub const DISCOUNTS: [&str; 2] = ["WELCOME10", "FIVEOFF"];

/// Under which the store notes how far the demo is.
const NOTE: &str = "demo";
const BEGUN: &str = "begun";
const DONE: &str = "done";

/// With what somebody logs in.
#[derive(Debug)]
pub struct Login {
    /// Their address.
    pub email: String,
    /// Their password, which is kept nowhere.
    pub password: SecretString,
}

/// Whether the demo is to be filled in: the store is new, or was cut off before it was told how to log in to it.
pub async fn is_due(store: &Store) -> Result<bool, Failure> {
    if store.database().is_new() {
        let noted: Result<(), Failure> = store
            .database()
            .write_boxed(|work| {
                Box::pin(async move { Ok(SettingsRepository::set(work, NOTE, BEGUN).await?) })
            })
            .await;
        return noted.map(|()| true);
    }
    let noted = SettingsRepository(&mut store.database().read().await?).get(NOTE).await?;
    Ok(noted.is_some_and(|noted| noted == BEGUN))
}

/// Fills in what is sold, unless it is there.
pub async fn fill(store: &Store) -> Result<(), ImportError> {
    let open = || Ok(Cursor::new(LINES));
    let created_at = store.database().context().clock.now();
    let options = Options { format: Some(Format::JsonLines), created_at, ..Options::default() };
    let checked = check(open, &options, &mut Nobody)?;
    import(store, open, &options, checked, &mut Nobody).await.map(drop)
}

/// Makes an administrator with a password that nobody else knows; with that the demo is complete.
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
        SettingsRepository::set(work, NOTE, DONE).await?;
        make_admin(work, new, password_hash).await
    });
    write.await?;
    Ok(Login { email, password })
}

/// Watches nothing: our own lines are known to be right, and a test says so.
struct Nobody;

impl Observer for Nobody {
    fn opened(&mut self, _: Format, _: &Fields) -> io::Result<()> {
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
            "a line of the demo is wrong"
        );
        Ok(())
    }
}
