//! `undercroft jobs`: shows, runs and cancels jobs.

use std::io::Write;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    CliError, counted,
    ids::id,
    open_store::{open_store, open_to_change},
    print_item,
    terminal::stdout,
};
use crate::application::Store;
use crate::application::jobs::job_queue;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::domain::state::State;
use crate::infrastructure::repositories::{JobFilter, Setup};
use crate::settings::Settings;

/// The number of jobs that are read at once.
const PAGE: usize = 100;

/// The arguments of `jobs`.
#[derive(Args, Debug)]
pub struct Jobs {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Show the jobs, newest first
    List(List),
    /// Create a job, or make a waiting one due now; a running server or worker runs it
    Run(Run),
    /// Cancel a waiting job, or a running one within a few seconds
    Cancel(Id),
}

#[derive(Args, Debug)]
struct List {
    /// Only jobs of this type
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only jobs with this status: waiting, running, succeeded, failed or cancelled
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<JobStatus>,
    /// Print a JSON object for each job
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Run {
    /// The name of the type: `check_consistency`, `clean_files`, `expire_emails`, `purge_carts`, `purge_emails`,
    /// `purge_events`, `purge_idempotency_keys`, `purge_jobs`, `purge_sessions`, `purge_user_tokens`,
    /// `rotate_access_token_keys`, `purge_webhook_deliveries`, `recover_payments`, `renew_subscriptions`,
    /// `retry_dead_letters`, `send_digest`, `send_emails` or `warm_caches`
    name: String,
    /// The arguments of the type: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    arguments: Map<String, Value>,
    /// The earliest time at which the job is run, such as `2026-01-31T00:00:00Z` [default: now]
    #[arg(long, value_name = "TIME")]
    due_at: Option<Timestamp>,
}

#[derive(Args, Debug)]
struct Id {
    /// The id of the job
    #[arg(value_parser = id)]
    id: Uuid,
}

fn status(text: &str) -> Result<JobStatus, &'static str> {
    JobStatus::parse(text).ok_or("no status of a job")
}

fn object(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_str(text)
}

impl Jobs {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let store = match self.command {
            JobsCommand::List(_) => open_store(&settings, Setup::ReadOnly).await?,
            JobsCommand::Run(_) => open_to_change(&settings, "jobs run").await?,
            JobsCommand::Cancel(_) => open_to_change(&settings, "jobs cancel").await?,
        };
        match self.command {
            JobsCommand::List(list) => list.run(&store).await,
            JobsCommand::Run(Run { name, arguments, due_at }) => {
                let job = job_queue(&store).run(&name, Value::Object(arguments), due_at).await;
                writeln!(stdout(), "{}", describe(&job.map_err(CliError::Store)?)).map_err(CliError::Output)
            }
            JobsCommand::Cancel(Id { id }) => {
                let job = job_queue(&store).cancel(JobId(id)).await.map_err(CliError::Store)?;
                writeln!(stdout(), "{}", describe(&job)).map_err(CliError::Output)
            }
        }
    }
}

impl List {
    async fn run(self, store: &Store) -> Result<(), CliError> {
        let (filter, queue) = (JobFilter { name: self.name, status: self.status }, job_queue(store));
        let mut cursor = None;
        loop {
            let page = queue.jobs(&filter, PAGE, cursor.as_deref()).await.map_err(CliError::Store)?;
            for job in &page.items {
                print_item(self.json, job, &describe(job))?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

fn describe(job: &Job) -> String {
    let Job { id, name, arguments, status, due_at, attempts, processed, error, cancel_requested, .. } = job;
    let arguments = match arguments.as_object() {
        Some(members) if !members.is_empty() => format!(" {arguments}"),
        _ => String::new(),
    };
    let cancelled = if *cancel_requested { ", cancelled" } else { "" };
    let error = error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let attempts = counted(attempts.cast_unsigned(), "attempt", "attempts");
    format!(
        "{id}  {name}{arguments}  {}{cancelled}, due {due_at}, {attempts}, {processed} processed{error}",
        status.name()
    )
}
