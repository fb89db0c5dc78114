//! Jobs: work with a due time, run once or by a schedule, by one process at a time.
//!
//! A [`JobType`] is a name with an async function; a job is a row with arguments for it. [`JobQueue`] creates, brings
//! forward and cancels jobs; [`JobRunner`] runs those that are due. A job ends by success, after its last attempt, or
//! when it is cancelled, and its row is kept for [`HISTORY`]. A process that dies leaves a lease that is not renewed,
//! and another process runs the job again. Each attempt has a trace of its own, which what it publishes belongs to.
//!
//! # In another service
//!
//! The types of its jobs are over a context of its own, such as the database:
//!
//! ```
//! use jiff::SignedDuration;
//! use serde::Deserialize;
//! use serde_json::json;
//! use tokio_util::sync::CancellationToken;
//! use undercroft::infrastructure::events::jobs::{JobQueue, JobRun, JobRunner, JobType, Schedule};
//! use undercroft::infrastructure::exceptions::Failure;
//! use undercroft::infrastructure::repositories::{Database, DatabaseError};
//!
//! #[derive(Deserialize)]
//! struct Age {
//!     hours: i64,
//! }
//!
//! /// Returns the number of removed rows: the job is complete once it is 0.
//! async fn remove_old(database: Database, run: JobRun<Age>) -> Result<usize, Failure> {
//!     let before = run.started_at - SignedDuration::from_hours(run.arguments.hours);
//!     let write = database.write(before, async |work, before| {
//!         work.execute("DELETE FROM depot_parcels WHERE sent_at < $1", &[(*before).into()]).await
//!     });
//!     let removed: Result<u64, DatabaseError> = write.await;
//!     Ok(usize::try_from(removed?).unwrap_or(usize::MAX))
//! }
//!
//! /// Runs the jobs that are due until `stop` is cancelled.
//! async fn work(database: Database, stop: CancellationToken) {
//!     let daily = Schedule::Every(SignedDuration::from_hours(24));
//!     let types = [JobType::new("remove_old", remove_old).scheduled(daily, json!({"hours": 720}))];
//!     let queue = JobQueue::new(database.clone(), types);
//!     JobRunner::new(queue, database).run(&stop).await;
//! }
//! ```

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
