//! `undercroft admin`: manages administrators.

use std::io::{Read, Write, stdin};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use super::{CliError, open_store::open_or_set_up, terminal::stdout};
use crate::application::people::accounts::{CreateUser, create_admin};
use crate::application::people::common_passwords::check_password;
use crate::domain::email::is_email;
use crate::domain::user::{LONGEST_PASSWORD, SHORTEST_PASSWORD, User};
use crate::infrastructure::exceptions::{Exception, NotFound};
use crate::settings::Settings;

/// The most bytes that are read from standard input; no valid password has more.
const MOST_BYTES: u64 = 4 * LONGEST_PASSWORD as u64 + 2;

/// The arguments of `admin`.
#[derive(Args, Debug)]
pub struct Admin {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Create an administrator, or make the user with the address one, with the new password
    Create(Create),
}

#[derive(Args, Debug)]
struct Create {
    /// The e-mail address
    #[arg(long, value_parser = email)]
    email: String,
    /// The name
    #[arg(long)]
    name: Option<String>,
    /// The name of a role of the staff, whose permissions the administrator has; without it, all
    #[arg(long)]
    role: Option<String>,
    /// Read the password from standard input: one line
    #[arg(long, required = true)]
    password_stdin: bool,
}

impl Admin {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let AdminCommand::Create(Create { email, name, role, password_stdin: _ }) = self.command;
        let password = password()?;
        check_password(&password, &email, name.as_deref().unwrap_or_default())
            .map_err(|_| CliError::CommonPassword)?;
        let store = open_or_set_up(&settings, "admin create").await?;
        let new = CreateUser { email, password, name, birth_date: None, locale: None };
        let created = create_admin(&store, new, role.clone()).await;
        let User { id, email, version, .. } = created.map_err(|failure| match role {
            Some(role) if failure.code() == NotFound::Role.code() => CliError::UnknownRole(role),
            _ => CliError::Store(failure),
        })?;
        let existed = if version > 1 {
            "; the password was replaced, and its sessions, API keys and one-time passwords ended"
        } else {
            ""
        };
        // standard output may be closed
        let _ = writeln!(stdout(), "{email} is an administrator (user {id}){existed}");
        Ok(())
    }
}

fn email(text: &str) -> Result<String, &'static str> {
    if is_email(text) { Ok(text.to_owned()) } else { Err("not an e-mail address") }
}

/// Reads the password from standard input, without the line break.
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
