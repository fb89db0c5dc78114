//! Jobs: work that a store does outside of requests.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::ids::JobId;
use super::state::states;

states! {
    /// The status of a job.
    JobStatus, "job", {
        /// The job is run when it is due.
        Waiting = "waiting" -> [Running, Cancelled],
        /// A process runs the job.
        Running = "running" -> [Waiting, Succeeded, Failed, Cancelled],
        /// The job has no more work.
        Succeeded = "succeeded" -> [],
        /// Every attempt failed.
        Failed = "failed" -> [],
        /// An administrator cancelled the job.
        Cancelled = "cancelled" -> [],
    }
}

/// Work that a store does outside of requests: one row from its creation until some time after its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// The id.
    pub id: JobId,
    /// The name of its type, such as `purge_carts`.
    pub name: String,
    /// The arguments of its type: a JSON object.
    pub arguments: Value,
    /// What the job works on. Of jobs with the same key, at most one is waiting or running.
    pub unique_key: String,
    /// Of the jobs that are due, those with a higher priority are run first.
    pub priority: i64,
    /// The status.
    pub status: JobStatus,
    /// The earliest time of the next attempt.
    pub due_at: Timestamp,
    /// The number of attempts that count: those that have begun, without retryable failures and those that a stop of
    /// their process ended.
    pub attempts: i64,
    /// The number of attempts that failed, also retryably. The wait before the next one grows with it.
    pub failures: i64,
    /// The number of items that were processed in the last attempt.
    pub processed: i64,
    /// The attempt that is being made.
    #[serde(skip)]
    pub lease: Option<Uuid>,
    /// How often the process that runs the job has renewed the lease.
    pub renewals: i64,
    /// Whether an administrator cancelled the job while it was running.
    pub cancel_requested: bool,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When the job was created.
    pub created_at: Timestamp,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When the job ended; `None` while it is waiting or running.
    pub ended_at: Option<Timestamp>,
}
