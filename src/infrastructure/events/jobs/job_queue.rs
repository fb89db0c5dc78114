//! The jobs of a store: created, brought forward, cancelled and listed.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::job_type::JobType;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Conflict, Failure, Fault, NotFound, ValidationException};
use crate::infrastructure::repositories::{Database, JobFilter, JobRepository, Page, UnitOfWork};

/// The most bytes of arguments, as JSON. They are part of a unique key.
const MAX_ARGUMENTS: usize = 2000;

/// The most jobs that [`JobQueue::count_due`] counts.
const MOST_COUNTED: usize = 1000;

/// The jobs of some types. Clones share the types.
pub struct JobQueue<C> {
    database: Database,
    types: Arc<[JobType<C>]>,
}

impl<C: Clone + Send + Sync + 'static> JobQueue<C> {
    /// Returns the jobs of these types.
    ///
    /// # Panics
    ///
    /// If two types have the same name.
    pub fn new(database: Database, types: impl Into<Arc<[JobType<C>]>>) -> Self {
        let types = types.into();
        let mut names = BTreeSet::new();
        for job_type in types.iter() {
            assert!(names.insert(job_type.name()), "types of jobs share a name: {}", job_type.name());
        }
        Self { database, types }
    }

    /// Returns the types.
    pub fn types(&self) -> &[JobType<C>] {
        &self.types
    }

    /// Creates a job that is due at a time, or now if it is omitted. If an open job of the type has the same arguments,
    /// that one is returned; it is made due now if the time is omitted.
    ///
    /// # Errors
    ///
    /// [`ValidationException`] at `/name` for an unknown type, and at `/arguments`.
    pub async fn run(&self, name: &str, arguments: Value, due_at: Option<Timestamp>) -> Result<Job, Failure> {
        self.job_type(name).ok_or_else(|| self.unknown_name())?;
        let given = (self.clone(), name.to_owned(), arguments, due_at);
        let write = self.database.write(given, async |work, (queue, name, arguments, due_at)| {
            let job_type = queue.job_type(name).ok_or_else(|| queue.unknown_name())?;
            let job = job_type.create(work, arguments.clone(), due_at.unwrap_or(work.now())).await?;
            let now = work.now();
            if due_at.is_none() && JobRepository::bring_forward(work, job.id, now).await? {
                return Ok(Job { due_at: now, ..job });
            }
            Ok(job)
        });
        write.await
    }

    /// Cancels a job. One that is running is cancelled by the process that runs it within a few seconds, one of an
    /// unknown type at once: it may be left by another version of the program. A scheduled job is run again at the next
    /// time of its schedule.
    ///
    /// # Errors
    ///
    /// [`NotFound::Job`], and [`Conflict::ForbiddenTransition`] if it has ended.
    pub async fn cancel(&self, id: JobId) -> Result<Job, Failure> {
        let write = self.database.write((self.clone(), id), async |work, (queue, id)| {
            let found: Job = work.find(*id).await?.ok_or(NotFound::Job)?;
            let is_known = queue.job_type(&found.name).is_some();
            let cancelled = JobRepository::cancel(work, *id, is_known).await?;
            let job: Job = work.find(*id).await?.ok_or(NotFound::Job)?;
            if cancelled.is_none() {
                let (from, to) = (job.status.name(), JobStatus::Cancelled.name());
                return Err(Conflict::ForbiddenTransition { what: JobStatus::WHAT, from, to }.into());
            }
            if cancelled == Some(JobStatus::Waiting)
                && let Some(job_type) = queue.job_type(&job.name)
                && let Some(schedule) = job_type.schedule_of(&job.unique_key)
            {
                let due_at = schedule.next(work.now());
                let next = job_type.new_job(work, job.arguments.clone(), due_at);
                work.insert_new(&next).await?;
            }
            Ok(job)
        });
        write.await
    }

    /// Returns a job.
    ///
    /// # Errors
    ///
    /// [`NotFound::Job`].
    pub async fn job(&self, id: JobId) -> Result<Job, Failure> {
        Ok(self.database.read().await?.find(id).await?.ok_or(NotFound::Job)?)
    }

    /// Returns a page of jobs, newest first.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Job>, Failure> {
        let request = self.database.page_request(limit, cursor);
        let mut connection = self.database.read().await?;
        Ok(JobRepository(&mut connection).list(filter, &request).await?)
    }

    /// Returns the number of waiting jobs that are due and have work, at most [`MOST_COUNTED`].
    pub async fn count_due(&self, context: &C) -> Result<i64, Failure> {
        let names: Vec<_> = self.types.iter().map(JobType::name).collect();
        let now = self.database.context().clock.now();
        let due = JobRepository(&mut self.database.read().await?).due(&names, now, MOST_COUNTED).await?;
        let (mut count, stop) = (0, CancellationToken::new());
        for job in &due {
            let Some(job_type) = self.job_type(&job.name) else { continue };
            count += i64::from(job_type.has_work(context, job, &stop).await?);
        }
        Ok(count)
    }

    /// Creates the jobs of schedules that have none, and brings those forward that are due later than their schedule
    /// states, such as by a clock that was wrong.
    pub(super) async fn create_scheduled(&self) -> Result<(), Failure> {
        let (mut missing, mut late) = (Vec::new(), Vec::new());
        {
            let now = self.database.context().clock.now();
            let mut connection = self.database.read().await?;
            for job_type in self.types.iter() {
                for (schedule, arguments) in job_type.schedules() {
                    let next = schedule.next(now);
                    match JobRepository(&mut connection).open(&job_type.key(arguments)).await? {
                        None => missing.push((job_type.name(), *schedule, arguments.clone())),
                        // the one after it is accepted too: clocks differ by seconds
                        Some(job) if job.failures == 0 && job.due_at > schedule.next(next) => {
                            late.push((job.id, next));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        if missing.is_empty() && late.is_empty() {
            return Ok(());
        }
        let write =
            self.database.write((self.clone(), missing, late), async |work, (queue, missing, late)| {
                for (name, schedule, arguments) in missing {
                    let job_type = queue.job_type(name).ok_or_else(|| queue.unknown_name())?;
                    let due_at = schedule.first(work.now());
                    let job = job_type.new_job(work, arguments.clone(), due_at);
                    work.insert_new(&job).await?;
                }
                for &(id, due_at) in late {
                    JobRepository::bring_forward(work, id, due_at).await?;
                }
                Ok(())
            });
        write.await
    }

    /// Returns the database.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the type of this name.
    pub(super) fn job_type(&self, name: &str) -> Option<&JobType<C>> {
        self.types.iter().find(|job_type| job_type.name() == name)
    }

    fn unknown_name(&self) -> Failure {
        let allowed = self.types.iter().map(|job_type| json!(job_type.name())).collect();
        ValidationException::one("/name", Fault::NotAllowed { allowed }).into()
    }
}

impl<C> Clone for JobQueue<C> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), types: Arc::clone(&self.types) }
    }
}

impl<C: Clone + Send + Sync + 'static> JobType<C> {
    /// Creates a job within a transaction; if an open job has the same arguments, returns that one.
    ///
    /// # Errors
    ///
    /// [`ValidationException`] at `/arguments`.
    pub async fn create(
        &self,
        work: &mut UnitOfWork,
        arguments: Value,
        due_at: Timestamp,
    ) -> Result<Job, Failure> {
        let arguments = self.checked(arguments)?;
        let job = self.new_job(work, arguments, due_at);
        loop {
            if work.insert_new(&job).await? {
                return Ok(job);
            }
            // unless it has ended since
            if let Some(open) = JobRepository(work).open(&job.unique_key).await? {
                return Ok(open);
            }
        }
    }

    /// Returns the arguments without members that are `null`, which are those that are omitted.
    fn checked(&self, mut arguments: Value) -> Result<Value, Failure> {
        if let Some(members) = arguments.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let fault = if !self.accepts(&arguments) {
            Fault::Format { format: format!("arguments of {}", self.name()), example: "{}" }
        } else if arguments.to_string().len() > MAX_ARGUMENTS {
            Fault::TooLong { max_length: MAX_ARGUMENTS }
        } else if arguments.to_string().contains("\\u0000") {
            Fault::Character
        } else {
            return Ok(arguments);
        };
        Err(ValidationException::one("/arguments", fault).into())
    }

    pub(super) fn new_job(&self, work: &UnitOfWork, arguments: Value, due_at: Timestamp) -> Job {
        Job {
            id: work.id(),
            name: self.name().to_owned(),
            unique_key: self.key(&arguments),
            arguments,
            priority: self.new_priority(),
            status: JobStatus::Waiting,
            due_at,
            attempts: 0,
            failures: 0,
            processed: 0,
            lease: None,
            renewals: 0,
            cancel_requested: false,
            error: None,
            created_at: work.now(),
            started_at: None,
            ended_at: None,
        }
    }
}
