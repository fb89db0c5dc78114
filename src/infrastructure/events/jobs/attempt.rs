//! An attempt of a job: its function is called until it has no more work, while its lease is renewed.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::attempted_job::{AttemptedJob, Reports};
use super::job_queue::JobQueue;
use super::job_type::JobType;
use super::leases::{HOLD, RENEWAL};
use crate::domain::job::{Job, JobStatus};
use crate::domain::trace::TraceContext;
use crate::infrastructure::events::background_job_completed_event::BackgroundJobCompletedEvent;
use crate::infrastructure::events::backoff::retry_at;
use crate::infrastructure::exceptions::{Failure, Kind, Technical};
use crate::infrastructure::repositories::{JobRelease, JobRepository, UnitOfWork, in_trace};

/// The attempts of which each may end with its process, also if the type allows fewer.
const TAKEOVERS: i64 = 3;
/// How often the end of an attempt is recorded until it succeeds, before the lease expires.
const RECORDS: usize = 5;
/// The number of failures from which on a retryable one counts as an attempt: after about a day.
const PATIENCE: i64 = 100;

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
    pub(super) reports: Reports,
    pub(super) job: Job,
    /// The time before the lease was taken.
    pub(super) leased: Instant,
}

impl<C: Clone + Send + Sync + 'static> Attempt<C> {
    /// Makes the attempt in a trace of its own, and records its end; returns whether the job was released because
    /// `stop` was cancelled.
    pub(super) async fn make(self, stop: &CancellationToken) -> bool {
        let id = self.queue.database().context().ids.uuid();
        let trace = TraceContext::of_request(id, None, self.reports.sampled);
        in_trace(Some(trace), self.make_in(trace, stop)).await
    }

    async fn make_in(self, trace: TraceContext, stop: &CancellationToken) -> bool {
        let Some(job_type) = self.queue.job_type(&self.job.name) else { return false };
        let (processed, began) = (AtomicI64::new(0), Instant::now());
        let end = self.run(job_type, &processed, stop).await;
        if trace.is_sampled() {
            self.reports.bus.emit(&AttemptedJob {
                name: job_type.name(),
                job_id: self.job.id,
                attempt: self.job.attempts,
                trace,
                duration: began.elapsed(),
                failed: matches!(end, None | Some(End::Failed { .. })),
            });
        }
        let Some(end) = end else {
            tracing::warn!(job = %self.job.id, name = job_type.name(), "the lease of a job was lost; another process runs it");
            return false;
        };
        if let End::Failed { error, .. } = &end {
            tracing::warn!(job = %self.job.id, name = job_type.name(), error, "an attempt of a job failed");
        }

        let stopped = matches!(end, End::Stopped);
        let given = (self.queue.clone(), self.job.clone(), end, processed.into_inner());
        for _ in 0..RECORDS {
            let write =
                self.queue.database().write(given.clone(), async |work, (queue, job, end, processed)| {
                    let job_type =
                        queue.job_type(&job.name).ok_or_else(|| Technical::internal("no such type"))?;
                    conclude(work, job_type, job, end, *processed).await
                });
            match write.await {
                Ok(released) => return stopped && released,
                Err(failure) => {
                    tracing::warn!(job = %self.job.id, failure = %failure.report(), "the end of a job was not recorded");
                }
            }
            sleep(RENEWAL / 3).await;
        }
        // its lease expires, and the job is run again
        false
    }

    /// Runs the job; returns `None` if another process may have taken it over.
    async fn run(
        &self,
        job_type: &JobType<C>,
        processed: &AtomicI64,
        stop: &CancellationToken,
    ) -> Option<End> {
        if self.job.cancel_requested {
            return Some(End::Cancelled);
        }
        if self.job.attempts > job_type.attempts().max(TAKEOVERS) {
            let error = "the process that ran the job ended each time".to_owned();
            return Some(End::Failed { error, counts: true });
        }
        let ending = stop.child_token();
        let interrupted = async {
            let mut keeping = pin!(self.keep_lease(processed));
            tokio::select! {
                () = stop.cancelled() => {
                    ending.cancel();
                    // the lease is renewed meanwhile
                    let lost = timeout(job_type.completion(), keeping).await;
                    lost.unwrap_or(Some(End::Stopped))
                }
                end = &mut keeping => {
                    ending.cancel();
                    if end.is_some() {
                        sleep(job_type.completion()).await;
                    }
                    end
                }
            }
        };
        tokio::select! {
            biased;
            end = self.call(job_type, processed, &ending) => Some(end),
            end = interrupted => end,
        }
    }

    /// Calls the function until it has no more work, fails, or `ending` is cancelled.
    async fn call(&self, job_type: &JobType<C>, processed: &AtomicI64, ending: &CancellationToken) -> End {
        while !ending.is_cancelled() {
            // the function may panic before it returns its future
            let piece = async { job_type.run(self.context.clone(), &self.job, ending).await };
            match AssertUnwindSafe(piece).catch_unwind().await {
                Ok(Ok(count)) => {
                    processed.fetch_add(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
                    if job_type.is_done_after(count) {
                        return End::Succeeded;
                    }
                }
                Ok(Err(failure)) => return End::of(&failure),
                Err(_) => return End::of(&Technical::internal("the function of a job panicked").into()),
            }
        }
        // a request to cancel the job is found when this is recorded
        End::Stopped
    }

    /// Renews the lease until the job is cancelled; returns `None` if another process may have taken it over.
    async fn keep_lease(&self, processed: &AtomicI64) -> Option<End> {
        let mut renewed = self.leased;
        loop {
            let give_up = renewed + HOLD;
            sleep_until(give_up.min(Instant::now() + RENEWAL)).await;
            let begun = Instant::now();
            let given = (self.job.clone(), processed.load(Ordering::Relaxed));
            let renewal = self.queue.database().write(given, async |work, (job, processed)| {
                Ok::<_, Failure>(JobRepository::renew(work, job, *processed).await?)
            });
            match timeout_at(give_up, renewal).await {
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
    // locks the row, so that a request to cancel it comes before this or finds the job ended
    let Some(cancelled) = JobRepository::renew(work, job, processed).await? else { return Ok(false) };
    let schedule = job_type.schedule_of(&job.unique_key);
    let next = schedule.map(|schedule| schedule.next(work.now()));
    let mut release = release(work, job_type, job, end, processed);
    match (release.status, schedule, next) {
        (JobStatus::Waiting, ..) if cancelled => release.status = JobStatus::Cancelled,
        // it is not kept: it becomes the job of the next run
        (JobStatus::Succeeded, Some(schedule), Some(due_at))
            if schedule.is_frequent() || processed == 0 && schedule.includes(job.due_at) =>
        {
            release = JobRelease { status: JobStatus::Waiting, due_at, attempts: 0, failures: 0, ..release };
        }
        _ => {}
    }
    if !JobRepository::release(work, job, &release).await? {
        return Ok(false);
    }
    if release.status == JobStatus::Waiting {
        if matches!(end, End::Succeeded) {
            JobRepository::renew_creation(work, job.id).await?;
        }
        return Ok(true);
    }
    if let Some(due_at) = next {
        let next = job_type.new_job(work, job.arguments.clone(), due_at);
        work.insert_new(&next).await?;
    }
    work.publish(&BackgroundJobCompletedEvent::of(job, &release, work.now())).await?;
    Ok(true)
}

/// Returns what becomes of a job after an attempt.
fn release<C: Clone + Send + Sync + 'static>(
    work: &UnitOfWork,
    job_type: &JobType<C>,
    job: &Job,
    end: &End,
    processed: i64,
) -> JobRelease {
    let Job { due_at, attempts, failures, .. } = *job;
    let ended =
        JobRelease { status: JobStatus::Succeeded, due_at, attempts, failures, processed, error: None };
    match end {
        End::Succeeded => ended,
        End::Cancelled => JobRelease { status: JobStatus::Cancelled, ..ended },
        End::Stopped => JobRelease {
            status: JobStatus::Waiting,
            attempts: attempts - 1,
            error: job.error.clone(),
            ..ended
        },
        End::Failed { error, counts } => {
            let (failures, error) = (failures + 1, Some(error.clone()));
            let counts = *counts || failures >= PATIENCE;
            if counts && attempts >= job_type.attempts() {
                return JobRelease { status: JobStatus::Failed, failures, error, ..ended };
            }
            JobRelease {
                status: JobStatus::Waiting,
                due_at: retry_at(work, failures),
                attempts: if counts { attempts } else { attempts - 1 },
                failures,
                error,
                ..ended
            }
        }
    }
}
