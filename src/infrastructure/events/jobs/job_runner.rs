//! Runs the jobs that are due, each by one process at a time.

use std::collections::HashMap;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::attempted_job::Reports;
use super::job_queue::JobQueue;
use super::job_type::{JobType, Schedule};
use super::leases::Leases;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::infrastructure::events::event_bus::EventBus;
use crate::infrastructure::exceptions::{Failure, RepeatedFailure};
use crate::infrastructure::repositories::JobRepository;

/// The wait for the next look for jobs.
const POLL: Duration = Duration::from_secs(1);
/// The wait between two looks for schedules without a job: another process may have cancelled it.
const SCHEDULES: Duration = Duration::from_secs(30);
/// The most waiting jobs that are looked at together.
const CANDIDATES: usize = 100;
/// The most jobs of a type that a process runs at the same time.
const CONCURRENCY: usize = 4;
/// The longest time in which a condition finds out whether there is work.
const CONDITION: Duration = Duration::from_secs(5);

/// Runs the jobs of a queue with a context, such as a store.
pub struct JobRunner<C> {
    queue: JobQueue<C>,
    context: C,
    reports: Reports,
    leases: Leases,
    /// The next look at jobs that had no work.
    without_work: HashMap<JobId, Instant>,
    /// The jobs that this process runs, with their types.
    running: HashMap<Id, (JobId, &'static str)>,
    /// The tasks that look for work and make the attempts.
    attempts: JoinSet<Outcome>,
}

/// The outcome of a task.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The job has no work, or was not begun; it is looked at again after a wait.
    Waits(JobId, Duration),
    /// The attempt ended; whether the job was released because the process stops.
    Ended { released: bool },
}

impl<C: Clone + Send + Sync + 'static> JobRunner<C> {
    /// Returns a runner that runs nothing yet.
    pub fn new(queue: JobQueue<C>, context: C) -> Self {
        Self {
            queue,
            context,
            reports: Reports::default(),
            leases: Leases::default(),
            without_work: HashMap::new(),
            running: HashMap::new(),
            attempts: JoinSet::new(),
        }
    }

    /// Emits an [`AttemptedJob`](super::AttemptedJob) by a bus for this share of the attempts, from 0 to 1: those whose
    /// trace is sampled.
    #[must_use]
    pub fn reporting_to(self, bus: EventBus, sampled: f64) -> Self {
        Self { reports: Reports { bus, sampled }, ..self }
    }

    /// Runs the jobs that are due until `stop` is cancelled. Then it drops those that are running and releases them, so
    /// that another process, or this store's next one, runs them at once; returns their number.
    ///
    /// If the future is dropped, other processes take the running jobs over after some seconds.
    pub async fn run(mut self, stop: &CancellationToken) -> usize {
        let mut schedules_at = Instant::now();
        let (mut scheduling, mut reading) = (RepeatedFailure::default(), RepeatedFailure::default());
        while !stop.is_cancelled() {
            if schedules_at <= Instant::now() {
                match self.queue.create_scheduled().await {
                    Ok(()) => {
                        schedules_at = Instant::now() + SCHEDULES;
                        scheduling.end();
                    }
                    Err(failure) => {
                        if let Some(failure) = scheduling.begin(&failure) {
                            tracing::warn!(%failure, "no scheduled jobs could be created, retrying");
                        }
                    }
                }
            }
            match self.begin_due(stop).await {
                Ok(()) => reading.end(),
                Err(failure) => {
                    if let Some(failure) = reading.begin(&failure) {
                        tracing::warn!(%failure, "no jobs could be read, retrying");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.attempt_ended() => {}
                () = sleep(POLL) => {}
            }
        }

        let mut released = 0;
        while let Some(ended) = self.attempts.join_next().await {
            released += usize::from(matches!(ended, Ok(Outcome::Ended { released: true })));
        }
        released
    }

    /// Begins the attempts of jobs that are due, and takes over those whose process has ended.
    async fn begin_due(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let names: Vec<_> = self.queue.types().iter().map(JobType::name).collect();
        let free: Vec<_> = names.iter().copied().filter(|name| self.running_of(name) < CONCURRENCY).collect();
        let now = self.queue.database().context().clock.now();
        let (running, due) = {
            let mut connection = self.queue.database().read().await?;
            let mut jobs = JobRepository(&mut connection);
            (jobs.running(&names).await?, jobs.due(&free, now, CANDIDATES).await?)
        };
        let ids: Vec<_> = running.iter().map(|job| job.id).collect();
        self.leases.retain(&ids);
        self.without_work.retain(|_, at| *at > Instant::now());

        for job in running.into_iter().chain(due) {
            if self.can_begin(&job) {
                self.spawn(job, stop);
            }
        }
        Ok(())
    }

    /// Waits until an attempt has ended. Does not end while there is none.
    async fn attempt_ended(&mut self) {
        while let Some(joined) = self.attempts.join_next_with_id().await {
            match joined {
                Ok((task, Outcome::Waits(id, wait))) => {
                    self.running.remove(&task);
                    self.without_work.insert(id, Instant::now() + wait);
                }
                Ok((task, Outcome::Ended { .. })) => {
                    self.running.remove(&task);
                    return;
                }
                Err(error) => {
                    self.running.remove(&error.id());
                    return;
                }
            }
        }
        pending::<()>().await;
    }

    fn running_of(&self, name: &str) -> usize {
        self.running.values().filter(|(_, running)| *running == name).count()
    }

    /// Returns whether this process can begin an attempt of a job now, as far as it knows.
    fn can_begin(&mut self, job: &Job) -> bool {
        let runs = self.running.values().any(|(id, _)| *id == job.id);
        if runs || self.running_of(&job.name) >= CONCURRENCY || self.without_work.contains_key(&job.id) {
            return false;
        }
        job.status != JobStatus::Running || self.leases.is_expired(job, Instant::now())
    }

    fn spawn(&mut self, job: Job, stop: &CancellationToken) {
        let Some(name) = self.queue.job_type(&job.name).map(JobType::name) else { return };
        let (id, stop) = (job.id, stop.clone());
        let (queue, context, reports) = (self.queue.clone(), self.context.clone(), self.reports.clone());
        let task = self.attempts.spawn(async move { begin((queue, context, reports), job, &stop).await });
        self.running.insert(task.id(), (id, name));
    }
}

/// Makes an attempt of a job if it has work and can be leased. A scheduled one without work is looked at again after
/// its interval.
async fn begin<C: Clone + Send + Sync + 'static>(
    (queue, context, reports): (JobQueue<C>, C, Reports),
    job: Job,
    stop: &CancellationToken,
) -> Outcome {
    const NOT_BEGUN: Outcome = Outcome::Ended { released: false };
    let Some(job_type) = queue.job_type(&job.name) else { return NOT_BEGUN };
    if let Some(schedule) = job_type.schedule_of(&job.unique_key)
        && job.status == JobStatus::Waiting
    {
        let found = stop.run_until_cancelled(has_work(job_type, &context, &job, stop)).await;
        match (found, schedule) {
            (Some(true), _) => {}
            (Some(false), Schedule::Every(interval)) => {
                return Outcome::Waits(job.id, Duration::try_from(interval).unwrap_or(POLL));
            }
            (Some(false), Schedule::Daily(_)) => return Outcome::Waits(job.id, POLL),
            (None, _) => return NOT_BEGUN,
        }
    }

    let (id, leased) = (job.id, Instant::now());
    match lease(&queue, job).await {
        Ok(Some(job)) => {
            let attempt = Attempt { queue, context, reports, job, leased };
            Outcome::Ended { released: attempt.make(stop).await }
        }
        Ok(None) => NOT_BEGUN,
        Err(failure) => {
            let (name, failure) = (job_type.name(), failure.report());
            tracing::warn!(job = %id, name, %failure, "a job was not begun");
            Outcome::Waits(id, POLL)
        }
    }
}

/// Returns whether a job that is due has work. It has none if that is not found out.
async fn has_work<C: Clone + Send + Sync + 'static>(
    job_type: &JobType<C>,
    context: &C,
    job: &Job,
    stop: &CancellationToken,
) -> bool {
    let check = AssertUnwindSafe(async { job_type.has_work(context, job, stop).await }).catch_unwind();
    match timeout(CONDITION, check).await {
        Ok(Ok(Ok(found))) => found,
        Ok(Ok(Err(failure))) => {
            tracing::warn!(name = job_type.name(), failure = %failure.report(), "no work could be looked for");
            false
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(name = job_type.name(), "the look for work panicked or took too long");
            false
        }
    }
}

/// Leases a waiting job, or takes over one whose lease has expired; `None` if another process was faster.
async fn lease<C: Clone + Send + Sync + 'static>(
    queue: &JobQueue<C>,
    job: Job,
) -> Result<Option<Job>, Failure> {
    let write = queue.database().write(job, async |work, job| {
        Ok(if job.status == JobStatus::Running {
            JobRepository::take_over(work, job).await?
        } else {
            JobRepository::lease(work, job.id).await?
        })
    });
    write.await
}
