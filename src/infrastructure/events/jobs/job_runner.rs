//! Runs the jobs that are due, each by one process at a time.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::job_queue::JobQueue;
use super::job_type::{JobType, Schedule};
use super::leases::Leases;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::infrastructure::exceptions::Failure;
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
    leases: Leases,
    /// The next look at jobs that had no work.
    without_work: HashMap<JobId, Instant>,
    /// The jobs that this process runs, with their types.
    running: HashMap<Id, (JobId, &'static str)>,
    /// Each returns whether its job was released because the process stops.
    attempts: JoinSet<bool>,
}

impl<C: Clone + Send + Sync + 'static> JobRunner<C> {
    /// Returns a runner that runs nothing yet.
    pub fn new(queue: JobQueue<C>, context: C) -> Self {
        Self {
            queue,
            context,
            leases: Leases::default(),
            without_work: HashMap::new(),
            running: HashMap::new(),
            attempts: JoinSet::new(),
        }
    }

    /// Runs the jobs that are due until `stop` is cancelled. Then it drops those that are running and releases them, so
    /// that another process, or this store's next one, runs them at once; returns their number.
    ///
    /// If the future is dropped, other processes take the running jobs over after some seconds.
    pub async fn run(mut self, stop: &CancellationToken) -> usize {
        let mut schedules_at = Instant::now();
        while !stop.is_cancelled() {
            if schedules_at <= Instant::now() {
                match self.queue.create_scheduled().await {
                    Ok(()) => schedules_at = Instant::now() + SCHEDULES,
                    Err(failure) => {
                        tracing::warn!(failure = %failure.report(), "no scheduled jobs could be created");
                    }
                }
            }
            if let Err(failure) = self.begin_due(stop).await {
                tracing::warn!(failure = %failure.report(), "no jobs could be read");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.attempts.join_next_with_id() => {
                    self.running.remove(&ended.map_or_else(|error| error.id(), |(id, _)| id));
                }
                () = sleep(POLL) => {}
            }
        }

        let mut released = 0;
        while let Some(ended) = self.attempts.join_next().await {
            released += usize::from(ended.is_ok_and(|released| released));
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
            let (id, name) = (job.id, job.name.clone());
            match self.begin(job).await {
                Ok(Some(attempt)) => self.spawn(attempt, stop),
                Ok(None) => {}
                Err(failure) => {
                    tracing::warn!(job = %id, name, failure = %failure.report(), "a job was not begun");
                }
            }
        }
        Ok(())
    }

    fn running_of(&self, name: &str) -> usize {
        self.running.values().filter(|(_, running)| *running == name).count()
    }

    fn spawn(&mut self, attempt: Attempt<C>, stop: &CancellationToken) {
        let Some(name) = self.queue.job_type(&attempt.job.name).map(JobType::name) else { return };
        let (id, stop) = (attempt.job.id, stop.clone());
        let task = self.attempts.spawn(async move { attempt.make(&stop).await });
        self.running.insert(task.id(), (id, name));
    }

    /// Leases a job, if it can be run now by this process.
    async fn begin(&mut self, job: Job) -> Result<Option<Attempt<C>>, Failure> {
        let queue = self.queue.clone();
        let Some(job_type) = queue.job_type(&job.name) else { return Ok(None) };
        let runs = self.running.values().any(|(id, _)| *id == job.id);
        if runs || self.running_of(job_type.name()) >= CONCURRENCY {
            return Ok(None);
        }
        let is_running = job.status == JobStatus::Running;
        let is_ready = if is_running {
            self.leases.is_expired(&job, Instant::now())
        } else {
            self.has_work(job_type, &job).await
        };
        if !is_ready {
            return Ok(None);
        }

        let leased = Instant::now();
        let write = queue.database().write((job, is_running), async |work, (job, is_running)| {
            Ok::<_, Failure>(if *is_running {
                JobRepository::take_over(work, job).await?
            } else {
                JobRepository::lease(work, job.id).await?
            })
        });
        let Some(job) = write.await? else { return Ok(None) };
        Ok(Some(Attempt { queue, context: self.context.clone(), job, leased }))
    }

    /// Returns whether a job that is due has work. A scheduled one that has none is looked at again after its interval.
    async fn has_work(&mut self, job_type: &JobType<C>, job: &Job) -> bool {
        // a job that is run once has no other occasion to end
        let Some(schedule) = job_type.schedule_of(&job.unique_key) else { return true };
        if self.without_work.contains_key(&job.id) {
            return false;
        }
        let check = AssertUnwindSafe(async { job_type.has_work(&self.context, job).await }).catch_unwind();
        let found = match timeout(CONDITION, check).await {
            Ok(Ok(Ok(found))) => found,
            Ok(Ok(Err(failure))) => {
                tracing::warn!(name = job_type.name(), failure = %failure.report(), "no work could be looked for");
                false
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(name = job_type.name(), "the look for work panicked or took too long");
                false
            }
        };
        if !found {
            let wait = match schedule {
                Schedule::Every(interval) => Duration::try_from(interval).unwrap_or(POLL),
                Schedule::Daily(_) => POLL,
            };
            self.without_work.insert(job.id, Instant::now() + wait);
        }
        found
    }
}
