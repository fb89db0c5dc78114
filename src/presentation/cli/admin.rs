//! `undercroft admin`: who runs the store.

use std::io::{Read, Write, stdin, stdout};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use super::{CliError, opening};
use crate::application::people::accounts::{CreateUser, create_admin};
use crate::domain::user::{LONGEST_PASSWORD, SHORTEST_PASSWORD, User, is_email};
use crate::infrastructure::repositories::Setup;
use crate::settings::Settings;

/// The most bytes that are read for a password; none that may be one has more.
const MOST_BYTES: u64 = 4 * LONGEST_PASSWORD as u64 + 2;

/// The arguments of `admin`.
#[derive(Args, Debug)]
pub struct Admin {
    /// What to do
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make an administrator, or one of the user who has the address
    Create(Create),
}

#[derive(Args, Debug)]
struct Create {
    /// Their e-mail address, with which they log in
    #[arg(long, value_parser = email)]
    email: String,
    /// Their name
    #[arg(long)]
    name: Option<String>,
    /// Read their password from standard input: its one line
    #[arg(long, required = true)]
    password_stdin: bool,
}

impl Admin {
    /// Does it.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let What::Create(Create { email, name, password_stdin: _ }) = self.what;
        let password = password()?;
        let store = opening::open(&settings, Setup::IfEmpty).await?;
        let new = CreateUser { email, password, name, birth_date: None, locale: None };
        let User { id, email, .. } = create_admin(&store, new).await.map_err(CliError::Store)?;
        // a reader that has closed standard output does not want to know
        let _ = writeln!(stdout(), "{email} is an administrator (user {id})");
        Ok(())
    }
}

fn email(text: &str) -> Result<String, &'static str> {
    if is_email(text) { Ok(text.to_owned()) } else { Err("no address that mail could be sent to") }
}

/// The password on standard input, less the end of its line.
fn password() -> Result<SecretString, CliError> {
    let mut text = String::new();
    stdin().take(MOST_BYTES).read_to_string(&mut text).map_err(CliError::Input)?;
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    let length = password.expose_secret().chars().count();
    let is_line = !password.expose_secret().contains(char::is_control);
    if is_line && (SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Ok(password);
    }
    Err(CliError::Password)
}
