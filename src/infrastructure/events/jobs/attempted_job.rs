//! What is reported of the attempts of jobs, for traces.

use std::time::Duration;

use crate::domain::ids::JobId;
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::event_bus::{EventBus, Signal};

/// An attempt of a job ended that had a sampled trace: a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptedJob {
    /// The name of its type.
    pub name: &'static str,
    /// The job.
    pub job_id: JobId,
    /// The number of the attempt, from 1.
    pub attempt: i64,
    /// The trace of the attempt, which begins with it.
    pub trace: TraceContext,
    /// How long it took.
    pub duration: Duration,
    /// Whether its function failed, or another process may have taken the job over.
    pub failed: bool,
}

impl Signal for AttemptedJob {
    const TYPE: &'static str = "attempted_job";
}

/// Where attempts are reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Reports {
    pub(super) bus: EventBus,
    /// The share of the attempts whose trace is sampled, from 0 to 1.
    pub(super) sampled: f64,
}
