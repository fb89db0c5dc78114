//! `undercroft admin`: manages administrators.

use std::io::Write;

use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use super::{
    CliError,
    open_store::{open_or_set_up, open_to_change},
    password,
    signals::interruptible,
    terminal::stdout,
};
use crate::application::people::accounts::{CreateUser, create_admin};
use crate::application::people::common_passwords::check_password;
use crate::domain::email::is_email;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Exception, NotFound};
use crate::settings::Settings;

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
    /// Read the password from standard input, as one line; without it, it is entered at the terminal
    #[arg(long)]
    password_stdin: bool,
}

impl Admin {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let AdminCommand::Create(create) = self.command;
        interruptible(async |stop| create.run(&settings, &stop).await).await
    }
}

impl Create {
    async fn run(self, settings: &Settings, stop: &CancellationToken) -> Result<(), CliError> {
        let Self { email, name, role, password_stdin } = self;
        let password = password::read(password_stdin, stop).await?;
        check_password(&password, &email, name.as_deref().unwrap_or_default())
            .map_err(|_| CliError::CommonPassword)?;
        let store = match role {
            // a new store has no roles: it would be set up, and the role refused
            Some(_) => open_to_change(settings, "admin create").await?,
            None => open_or_set_up(settings, "admin create").await?,
        };
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
