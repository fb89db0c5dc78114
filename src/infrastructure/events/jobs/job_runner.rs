//! Runs the jobs that are due, each by one process at a time.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
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
/// The most jobs that are looked at together.
const CANDIDATES: usize = 200;
/// The most jobs of a type that a process runs at the same time.
const CONCURRENCY: usize = 4;

/// Runs the jobs of a queue with a context, such as a store.
pub struct JobRunner<C> {
    queue: JobQueue<C>,
    context: C,
    leases: Leases,
    /// The next look at jobs that had no work.
    without_work: HashMap<JobId, Instant>,
    /// The jobs that this process runs, with their types.
    running: HashMap<JobId, &'static str>,
    /// Each returns its job, and whether it was released because the process stops.
    attempts: JoinSet<(JobId, bool)>,
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
                Some(ended) = self.attempts.join_next() => {
                    // an attempt does not panic
                    if let Ok((id, _)) = ended {
                        self.running.remove(&id);
                    }
                }
                () = sleep(POLL) => {}
            }
        }

        let mut released = 0;
        while let Some(ended) = self.attempts.join_next().await {
            released += usize::from(ended.is_ok_and(|(_, released)| released));
        }
        released
    }

    /// Begins the attempts of jobs that are due, and takes over those whose process has ended.
    async fn begin_due(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let names: Vec<_> = self.queue.types().iter().map(JobType::name).collect();
        let now = self.queue.database().context().clock.now();
        let candidates = {
            let mut connection = self.queue.database().read().await?;
            JobRepository(&mut connection).candidates(&names, now, CANDIDATES).await?
        };
        let ids: Vec<_> = candidates.iter().map(|job| job.id).collect();
        self.leases.retain(&ids);
        self.without_work.retain(|id, _| ids.contains(id));

        for job in candidates {
            let leased = Instant::now();
            let (id, name) = (job.id, job.name.clone());
            let job = match self.begin(job).await {
                Ok(Some(job)) => job,
                Ok(None) => continue,
                Err(failure) => {
                    tracing::warn!(job = %id, name, failure = %failure.report(), "a job was not begun");
                    continue;
                }
            };
            let attempt = Attempt { queue: self.queue.clone(), context: self.context.clone(), job, leased };
            let stop = stop.clone();
            self.attempts.spawn(async move { (id, attempt.make(&stop).await) });
        }
        Ok(())
    }

    /// Leases a job, if it can be run now by this process.
    async fn begin(&mut self, job: Job) -> Result<Option<Job>, Failure> {
        let queue = self.queue.clone();
        let Some(job_type) = queue.job_type(&job.name) else { return Ok(None) };
        let of_type = self.running.values().filter(|name| **name == job_type.name()).count();
        if self.running.contains_key(&job.id) || of_type >= CONCURRENCY {
            return Ok(None);
        }
        let leased = if job.status == JobStatus::Running {
            if !self.leases.is_expired(&job, Instant::now()) {
                return Ok(None);
            }
            let taken = queue
                .database()
                .write(job, async |work, job| Ok::<_, Failure>(JobRepository::take_over(work, job).await?));
            taken.await?
        } else {
            if !self.has_work(job_type, &job).await? {
                return Ok(None);
            }
            let leased = queue
                .database()
                .write(job.id, async |work, id| Ok::<_, Failure>(JobRepository::lease(work, *id).await?));
            leased.await?
        };
        if let Some(job) = &leased {
            self.running.insert(job.id, job_type.name());
        }
        Ok(leased)
    }

    /// Returns whether a job that is due has work. One that has none is looked at again after its interval.
    async fn has_work(&mut self, job_type: &JobType<C>, job: &Job) -> Result<bool, Failure> {
        let now = Instant::now();
        if self.without_work.get(&job.id).is_some_and(|at| *at > now) {
            return Ok(false);
        }
        if job_type.has_work(&self.context, job).await? {
            return Ok(true);
        }
        let wait = match job_type.schedule_of(&job.unique_key) {
            Some(Schedule::Every(interval)) => Duration::try_from(interval).unwrap_or(POLL),
            Some(Schedule::Daily(_)) | None => POLL,
        };
        self.without_work.insert(job.id, now + wait);
        Ok(false)
    }
}
