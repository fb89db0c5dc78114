//! The password of an administrator: entered at a terminal, which does not show it, or read from standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write, stdin};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{CliError, terminal::stderr};
use crate::domain::user::{LONGEST_PASSWORD, SHORTEST_PASSWORD};

/// The most bytes that are read from standard input; no valid password has more.
const MOST_BYTES: u64 = 4 * LONGEST_PASSWORD as u64 + 2;
/// The code of no key, in the special codes of a terminal (`_POSIX_VDISABLE`).
const NO_KEY: u8 = if cfg!(any(target_os = "linux", target_os = "android")) { 0 } else { 0xff };

/// The modes of the terminal at standard input, which shows nothing that is entered until this is dropped.
struct Unseen(Termios);

impl Unseen {
    /// Hides what is entered, except the end of the line. What was entered before is dropped. No key stops the command
    /// (Ctrl-Z): the terminal would show nothing in the shell, or everything after the command continues.
    fn begin() -> io::Result<Self> {
        let modes = tcgetattr(stdin())?;
        let mut unseen = modes.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        unseen.local_modes.insert(LocalModes::ECHONL);
        unseen.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        tcsetattr(stdin(), OptionalActions::Flush, &unseen)?;
        Ok(Self(modes))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // the terminal may be gone
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Returns the password, which standard input has until its end, or which is entered at its terminal.
pub(super) async fn read(from_stdin: bool, stop: &CancellationToken) -> Result<SecretString, CliError> {
    let text = match (from_stdin, stdin().is_terminal()) {
        (false, false) => return Err(CliError::NoTerminal),
        (false, true) => unseen_line(stop).await?,
        (true, true) => {
            prompt("Password (it is shown; end with Enter and Ctrl-D): ");
            unless_stopped(stop, all).await?
        }
        (true, false) => unless_stopped(stop, all).await?,
    };
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    let length = password.expose_secret().chars().count();
    let is_line = !password.expose_secret().contains(char::is_control);
    if is_line && (SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Ok(password);
    }
    Err(CliError::Password)
}

fn prompt(text: &str) {
    // standard error may be closed
    let _ = write!(stderr(), "{text}");
}

/// Reads a line that the terminal does not show.
async fn unseen_line(stop: &CancellationToken) -> Result<String, CliError> {
    // by default, SIGQUIT (Ctrl-\) ends the process at once, and the terminal would show nothing after it; from now on
    // it ends only this wait
    let mut quit = signal(SignalKind::quit()).map_err(CliError::Signals)?;
    let _unseen = Unseen::begin().map_err(CliError::Input)?;
    prompt("Password: ");
    tokio::select! {
        text = unless_stopped(stop, line) => text,
        _ = quit.recv() => Err(interrupted()),
    }
}

fn interrupted() -> CliError {
    CliError::Interrupted("before there was a password; nothing was done".into())
}

/// Reads in a thread, which does not keep the process from ending when the command is stopped.
async fn unless_stopped(
    stop: &CancellationToken,
    read: fn() -> io::Result<String>,
) -> Result<String, CliError> {
    let (sender, text) = oneshot::channel();
    thread::spawn(move || sender.send(read()));
    tokio::select! {
        text = text => text.map_err(io::Error::other).flatten().map_err(CliError::Input),
        () = stop.cancelled() => Err(interrupted()),
    }
}

/// Reads a line of standard input.
fn line() -> io::Result<String> {
    let mut text = String::new();
    stdin().lock().take(MOST_BYTES).read_line(&mut text)?;
    Ok(text)
}

/// Reads standard input to its end.
fn all() -> io::Result<String> {
    let mut text = String::new();
    stdin().lock().take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
