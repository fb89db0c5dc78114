//! A job ended: published in the transaction that records its end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::events::DurableEvent;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::infrastructure::repositories::JobRelease;

/// A job succeeded, failed its last attempt, or was cancelled while it was running. A scheduled job that found nothing
/// to do has no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundJobCompletedEvent {
    /// The job.
    pub job_id: JobId,
    /// The name of its type.
    pub name: String,
    /// How it ended.
    pub outcome: JobStatus,
    /// The number of attempts.
    pub attempts: i64,
    /// The number of items that the last attempt processed.
    pub processed: i64,
    /// The duration of the last attempt, in milliseconds.
    pub duration_ms: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

impl BackgroundJobCompletedEvent {
    /// Returns the event of a job that ended now.
    pub(super) fn of(job: &Job, end: &JobRelease, now: Timestamp) -> Self {
        let duration = job.started_at.map(|started_at| now.duration_since(started_at).as_millis());
        Self {
            job_id: job.id,
            name: job.name.clone(),
            outcome: end.status,
            attempts: end.attempts,
            processed: end.processed,
            duration_ms: duration.and_then(|duration| i64::try_from(duration).ok()).unwrap_or(0),
            error: end.error.clone(),
        }
    }
}

impl DurableEvent for BackgroundJobCompletedEvent {
    const TYPE: &'static str = "background_job_completed";

    fn subject(&self) -> String {
        self.job_id.to_string()
    }
}
