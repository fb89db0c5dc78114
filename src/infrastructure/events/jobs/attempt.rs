//! An attempt of a job: its function is called until it has no more work, while its lease is renewed.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::job_queue::JobQueue;
use super::job_type::JobType;
use super::leases::{HOLD, RENEWAL};
use crate::domain::job::{Job, JobStatus};
use crate::infrastructure::events::background_job_completed_event::BackgroundJobCompletedEvent;
use crate::infrastructure::events::backoff::retry_at;
use crate::infrastructure::exceptions::{Failure, Kind, Technical};
use crate::infrastructure::repositories::{JobRelease, JobRepository, UnitOfWork};

/// How an attempt ended.
#[derive(Debug, Clone)]
enum End {
    /// The function has no more work.
    Succeeded,
    /// The function failed.
    Failed { error: String, counts: bool },
    /// The job was cancelled.
    Cancelled,
    /// This process stops.
    Stopped,
}

/// A job that this process has leased.
pub(super) struct Attempt<C> {
    pub(super) queue: JobQueue<C>,
    pub(super) context: C,
    pub(super) job: Job,
    /// The time before the lease was taken.
    pub(super) leased: Instant,
}

impl<C: Clone + Send + Sync + 'static> Attempt<C> {
    /// Makes the attempt and records its end; returns whether the job was released because `stop` was cancelled.
    pub(super) async fn make(self, stop: &CancellationToken) -> bool {
        let Some(job_type) = self.queue.job_type(&self.job.name) else { return false };
        let processed = AtomicI64::new(0);
        let Some(end) = self.run(job_type, &processed, stop).await else {
            tracing::warn!(job = %self.job.id, name = job_type.name(), "the lease of a job was lost; another process runs it");
            return false;
        };
        if let End::Failed { error, .. } = &end {
            tracing::warn!(job = %self.job.id, name = job_type.name(), error, "an attempt of a job failed");
        }

        let stopped = matches!(end, End::Stopped);
        let given = (self.queue.clone(), self.job.clone(), end, processed.into_inner());
        let write = self.queue.database().write(given, async |work, (queue, job, end, processed)| {
            let job_type = queue.job_type(&job.name).ok_or_else(|| Technical::internal("no such type"))?;
            conclude(work, job_type, job, end, *processed).await
        });
        match write.await {
            Ok(released) => stopped && released,
            Err(failure) => {
                let failure = failure.report();
                tracing::warn!(job = %self.job.id, %failure, "the end of a job was not recorded; it is run again");
                false
            }
        }
    }

    /// Runs the job; returns `None` if another process may have taken it over.
    async fn run(
        &self,
        job_type: &JobType<C>,
        processed: &AtomicI64,
        stop: &CancellationToken,
    ) -> Option<End> {
        if self.job.attempts > job_type.attempts() {
            let error = "the process that ran the job ended each time".to_owned();
            return Some(End::Failed { error, counts: true });
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => Some(End::Stopped),
            end = self.call(job_type, processed) => Some(end),
            end = self.keep_lease(processed) => end,
        }
    }

    /// Calls the function until it has no more work or fails.
    async fn call(&self, job_type: &JobType<C>, processed: &AtomicI64) -> End {
        loop {
            let piece = job_type.run(self.context.clone(), &self.job);
            match AssertUnwindSafe(piece).catch_unwind().await {
                Ok(Ok(0)) => return End::Succeeded,
                Ok(Ok(count)) => {
                    processed.fetch_add(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
                }
                Ok(Err(failure)) => return End::of(&failure),
                Err(_) => return End::of(&Technical::internal("the function of a job panicked").into()),
            }
        }
    }

    /// Renews the lease until the job is cancelled; returns `None` if another process may have taken it over.
    async fn keep_lease(&self, processed: &AtomicI64) -> Option<End> {
        let mut renewed = self.leased;
        loop {
            sleep(RENEWAL).await;
            let begun = Instant::now();
            let given = (self.job.clone(), processed.load(Ordering::Relaxed));
            let renewal = self.queue.database().write(given, async |work, (job, processed)| {
                Ok::<_, Failure>(JobRepository::renew(work, job, *processed).await?)
            });
            match timeout(HOLD.saturating_sub(renewed.elapsed()), renewal).await {
                Ok(Ok(Some(true))) => return Some(End::Cancelled),
                Ok(Ok(Some(false))) => renewed = begun,
                Ok(Ok(None)) | Err(_) => return None,
                Ok(Err(failure)) => {
                    tracing::warn!(job = %self.job.id, failure = %failure.report(), "the lease of a job was not renewed");
                }
            }
        }
    }
}

impl End {
    /// The end by a failure. One that may pass by itself, such as a conflict, does not count as an attempt.
    fn of(failure: &Failure) -> Self {
        Self::Failed { error: failure.report().to_string(), counts: failure.kind() != Kind::Retryable }
    }
}

/// Records the end of an attempt, and schedules the next job of the schedule; returns whether this process still held
/// the lease.
async fn conclude<C: Clone + Send + Sync + 'static>(
    work: &mut UnitOfWork,
    job_type: &JobType<C>,
    job: &Job,
    end: &End,
    processed: i64,
) -> Result<bool, Failure> {
    let next = job_type.schedule_of(&job.unique_key).map(|schedule| schedule.next(work.now()));
    let release = release(work, job_type, job, end, processed, next);
    if !JobRepository::release(work, job, &release).await? {
        return Ok(false);
    }
    if release.status == JobStatus::Waiting {
        return Ok(true);
    }
    if let Some(due_at) = next {
        let next = job_type.new_job(work, job.arguments.clone(), due_at);
        work.insert_new(&next).await?;
    }
    work.publish(&BackgroundJobCompletedEvent::of(job, &release, work.now())).await?;
    Ok(true)
}

/// Returns what becomes of a job after an attempt. `next` is the next run of its schedule.
fn release<C: Clone + Send + Sync + 'static>(
    work: &UnitOfWork,
    job_type: &JobType<C>,
    job: &Job,
    end: &End,
    processed: i64,
    next: Option<Timestamp>,
) -> JobRelease {
    let ended = JobRelease {
        status: JobStatus::Succeeded,
        due_at: job.due_at,
        attempts: job.attempts,
        processed,
        error: None,
    };
    let uncounted = job.attempts - 1;
    match end {
        // a scheduled job that found nothing to do is not kept: it becomes that of the next run
        End::Succeeded
            if processed == 0
                && let Some(due_at) = next =>
        {
            JobRelease { status: JobStatus::Waiting, due_at, attempts: 0, ..ended }
        }
        End::Succeeded => ended,
        End::Cancelled => JobRelease { status: JobStatus::Cancelled, ..ended },
        End::Stopped => {
            JobRelease { status: JobStatus::Waiting, due_at: work.now(), attempts: uncounted, ..ended }
        }
        End::Failed { error, counts } => {
            let error = Some(error.clone());
            if *counts && job.attempts >= job_type.attempts() {
                return JobRelease { status: JobStatus::Failed, error, ..ended };
            }
            let attempts = if *counts { job.attempts } else { uncounted };
            let due_at = retry_at(work, job.attempts.min(job_type.attempts()));
            JobRelease { status: JobStatus::Waiting, due_at, attempts, error, ..ended }
        }
    }
}
