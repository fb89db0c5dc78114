//! `undercroft replicate`: keeps a second database in step with that of the store, and moves the store to it.

mod progress;

use std::io::Write as _;
use std::str::FromStr;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::progress::{Format, Progress};
use super::copy::table_lines;
use super::signals::interruptible;
use super::target_url::TargetUrl;
use super::terminal::stderr;
use super::unquoted::Unquoted;
use super::verbosity::Verbosity;
use super::{CliError, counted};
use crate::domain::context::Context;
use crate::infrastructure::events::{DatabaseReplicationEvent, EventBus, Subscription};
use crate::infrastructure::repositories::DatabaseUrl;
use crate::infrastructure::repositories::copy::CopyError;
use crate::infrastructure::repositories::replication::{self, Goal, Outcome, ReplicationError};
use crate::settings::Settings;

/// The arguments of `replicate`.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of a command")]
pub struct Replicate {
    /// The database of the store: `sqlite:FILE` or `postgres://…` [default: the `database` of the settings]
    #[arg(long, value_name = "URL", value_parser = Unquoted(DatabaseUrl::from_str))]
    from: Option<DatabaseUrl>,
    /// The database that is kept in step, which is empty at first; `-` reads the URL from standard input
    #[arg(long, value_name = "URL", value_parser = Unquoted(TargetUrl::from_str))]
    #[arg(required_unless_present_any = ["stop", "make_live"])]
    to: Option<TargetUrl>,
    /// Compare all rows of both databases once, and end
    #[arg(long, conflicts_with_all = ["hand_over", "stop", "make_live"])]
    verify: bool,
    /// Move the store to the target, when both are equal: no writes are possible for at most a second, and the source
    /// refuses them from then on
    #[arg(long, conflicts_with_all = ["stop", "make_live"])]
    hand_over: bool,
    /// End the replication: changes are not recorded any more, and the target remains as it is
    #[arg(long, conflicts_with_all = ["to", "make_live"])]
    stop: bool,
    /// In an emergency, make the database that of the store: a standby whose source is lost, or a source that was
    /// handed over. The other one must not be used any more
    #[arg(long, conflicts_with = "to")]
    make_live: bool,
    /// Print the state as lines of JSON to standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Replicate {
    /// Replicates until a signal or the goal, and prints the state every few seconds.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let from = self.from.clone().unwrap_or(settings.database);
        let Some(to) = self.to.clone() else { return self.end(&from).await };
        let to = to.read()?;
        let goal = match (self.verify, self.hand_over) {
            (true, _) => Goal::Verify,
            (_, true) => Goal::HandOver,
            _ => Goal::Follow,
        };
        let outcome = interruptible(async |stop| self.replicate((&from, &to), goal, stop).await).await?;
        self.report(&outcome)
    }

    /// Ends the replication of a database.
    async fn end(&self, database: &DatabaseUrl) -> Result<(), CliError> {
        let (ended, state, text) = if self.stop {
            let ended = replication::stop(database, Context::system()).await;
            (ended, "ended", "the replication was ended")
        } else {
            let ended = replication::make_live(database, Context::system()).await;
            (ended, "live", "the database is that of a store now")
        };
        ended.map_err(CliError::Replication)?;
        if self.json {
            return progress::print(&json!({ "state": state })).map_err(CliError::Output);
        }
        self.verbosity.print(text)
    }

    async fn replicate(
        &self,
        databases: (&DatabaseUrl, &DatabaseUrl),
        goal: Goal,
        stop: CancellationToken,
    ) -> Result<Outcome, CliError> {
        let bus = EventBus::default();
        let _logging = AbortOnDropHandle::new(tokio::spawn(log(bus.subscribe())));
        let mut progress = Progress::new(self.format(), stop.clone(), bus);
        let run = replication::replicate(databases, goal, Context::system(), &stop, &mut progress).await;
        run.map_err(|error| match error {
            ReplicationError::Copy(CopyError::Stopped) if goal == Goal::HandOver => {
                CliError::Interrupted("before the store has moved; the source is written to as before".into())
            }
            ReplicationError::Copy(CopyError::Stopped) => CliError::Interrupted(
                "before it was complete; what was copied remains, and the same command continues from there"
                    .into(),
            ),
            error => CliError::Replication(error),
        })
    }

    fn format(&self) -> Format {
        match (self.json, self.verbosity.quiet) {
            (true, _) => Format::Json,
            (false, false) => Format::Text,
            (false, true) => Format::None,
        }
    }

    fn report(&self, outcome: &Outcome) -> Result<(), CliError> {
        if self.json {
            return progress::print(&progress::outcome(outcome)).map_err(CliError::Output);
        }
        let text = match outcome {
            Outcome::Stopped => {
                if !self.verbosity.quiet {
                    // standard error may be closed
                    let _ = writeln!(stderr(), "stopped; the same command continues");
                }
                return Ok(());
            }
            Outcome::Verified(tables) => {
                let rows = tables.iter().map(|table| table.rows.cast_unsigned()).sum();
                let rows = counted(rows, "row", "rows");
                format!("{}{rows}: the hashes of source and target are equal", table_lines(tables))
            }
            Outcome::HandedOver { tables, stop } => {
                let stop = stop.map(|stop| format!("; no writes were possible for {} ms", stop.as_millis()));
                let stop = stop.unwrap_or_default();
                let files = "copy the folder of `files.url`, unless the servers on the target use the same";
                format!("{}the store has moved to the target{stop}; {files}", table_lines(tables))
            }
        };
        self.verbosity.print(&text)
    }
}

/// Logs the changes that are applied, for the level `debug`.
async fn log(mut applied: Subscription<DatabaseReplicationEvent>) {
    loop {
        let DatabaseReplicationEvent { table, operation, rows, lag } = applied.next().await;
        let operation = operation.as_str();
        tracing::debug!(table, operation, rows, ?lag, "applied changes of rows");
    }
}
