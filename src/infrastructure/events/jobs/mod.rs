//! Jobs: work with a due time, run once or by a schedule, by one process at a time.
//!
//! A [`JobType`] is a name with an async function; a job is a row with arguments for it. [`JobQueue`] creates, brings
//! forward and cancels jobs; [`JobRunner`] runs those that are due. A job ends by success, after its last attempt, or
//! when it is cancelled, and its row is kept for [`HISTORY`]. A process that dies leaves a lease that is not renewed,
//! and another process runs the job again. Each attempt has a trace of its own, which what it publishes belongs to.

mod attempt;
mod attempted_job;
mod job_queue;
mod job_runner;
mod job_type;
mod leases;

pub use attempted_job::AttemptedJob;
pub use job_queue::JobQueue;
pub use job_runner::JobRunner;
pub use job_type::{JobRun, JobType, Schedule};

use std::time::Duration;

use jiff::SignedDuration;

/// The retention of a job after its end.
pub const HISTORY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The time in which a job that is stopped or cancelled may complete a piece of its work, if its type is
/// [`JobType::completing`]. It is shorter than a lease, which is not renewed meanwhile.
pub const COMPLETION: Duration = Duration::from_secs(4);
