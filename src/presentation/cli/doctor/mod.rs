//! `undercroft doctor`: checks what a store depends on, and advises how to fix problems.

mod caches;
mod checks;
mod deliveries;
mod mail;
mod outside;
mod replication;
mod taxes;

use std::fmt;
use std::io::Write;

use jiff::SignedDuration;
use serde::Serialize;

use super::{CliError, Exit, terminal::stdout, verbosity::Verbosity};
use crate::settings::Settings;

/// The age of an event or a change that waits above which it is reported.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// The arguments of `doctor`.
#[derive(clap::Args, Debug)]
pub struct Doctor {
    /// Also check the money, stock and numbers of all orders, which takes long in a large store
    #[arg(long)]
    books: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warning,
    Problem,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        })
    }
}

/// The finding of a check.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    /// The exit code if this is a problem.
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), advice: None, exit: Exit::Success }
    }

    fn warning(check: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self {
            check,
            status: Status::Warning,
            found: found.into(),
            advice: Some(advice),
            exit: Exit::Success,
        }
    }

    fn problem(check: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self {
            check,
            status: Status::Problem,
            found: found.into(),
            advice: Some(advice),
            exit: Exit::Failure,
        }
    }

    /// Creates a problem because of which the database cannot be used.
    fn unusable(found: impl Into<String>, advice: &'static str, exit: Exit) -> Self {
        Self { exit, ..Self::problem("database", found, advice) }
    }
}

impl fmt::Display for Finding {
    /// Writes the finding and its advice, each on a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, status, found, advice, .. } = self;
        writeln!(f, "{status:<9}{check:<13}{found}")?;
        advice.map_or(Ok(()), |advice| writeln!(f, "{:22}→ {advice}", ""))
    }
}

/// All findings.
#[derive(Serialize)]
struct Diagnosis {
    healthy: bool,
    checks: Vec<Finding>,
}

impl Doctor {
    /// Runs all checks and prints the findings. Nothing is changed.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let checks = checks::all(&settings, self.books).await;
        let problems = checks.iter().filter(|finding| finding.status == Status::Problem);
        let (count, exit) = (problems.clone().count() as u64, exit(problems));
        let diagnosis = Diagnosis { healthy: count == 0, checks };
        let text = if self.json {
            // a map with text keys can always be written as JSON
            serde_json::to_string(&diagnosis).unwrap_or_default() + "\n"
        } else {
            let shown = |finding: &&Finding| !self.verbosity.quiet || finding.status != Status::Ok;
            diagnosis.checks.iter().filter(shown).map(ToString::to_string).collect()
        };
        write!(stdout(), "{text}").map_err(CliError::Output)?;
        if count == 0 { Ok(()) } else { Err(CliError::Problems { count, exit }) }
    }
}

/// Returns the exit code of the problems: that of the database before that of the others.
fn exit<'a>(problems: impl Iterator<Item = &'a Finding>) -> Exit {
    let mut exits = problems.map(|problem| problem.exit);
    exits.find(|exit| *exit == Exit::Database).unwrap_or(Exit::Failure)
}
