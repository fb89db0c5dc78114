//! A job: work that a store does by itself, as a value with a name, a schedule and a function.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

use crate::application::Store;
use crate::infrastructure::events::EventDispatcher;
use crate::infrastructure::exceptions::Failure;

/// A job of the table in `application/jobs/mod.rs`.
pub struct Job {
    name: &'static str,
    schedule: Schedule,
    run: Box<RunJob>,
}

/// The time at which a job is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Once, when the worker starts and before any other job.
    AtStart,
    /// When the worker starts, and again each time this has passed since the job ended.
    Every(Duration),
}

/// The store and the dispatcher that a job uses. Clones share everything.
#[derive(Clone)]
pub struct JobContext {
    /// The store.
    pub store: Store,
    /// The dispatcher over the store's subscribers.
    pub dispatcher: EventDispatcher,
}

type RunJob = dyn Fn(JobContext) -> JobFuture + Send + Sync;
type JobFuture = Pin<Box<dyn Future<Output = Result<usize, Failure>> + Send>>;

impl Job {
    /// Returns a job of this name and schedule. `run` does a bounded piece of the work and returns how many items it
    /// processed; it is called again immediately until it returns 0, fails or the worker stops.
    ///
    /// Another process may run the same job at the same time.
    pub fn new<F>(
        name: &'static str,
        schedule: Schedule,
        run: impl Fn(JobContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<usize, Failure>> + Send + 'static,
    {
        Self { name, schedule, run: Box::new(move |context| Box::pin(run(context))) }
    }

    /// Returns the name, unique among the jobs of a scope.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the schedule.
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Runs the function once; returns the number of items that it processed.
    pub(super) async fn run(&self, context: &JobContext) -> Result<usize, Failure> {
        (self.run)(context.clone()).await
    }
}

impl JobContext {
    /// Returns the time of the store's clock.
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}
