//! Types of jobs: a name, a function, and schedules.

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::COMPLETION;
use crate::domain::job::Job;
use crate::domain::permission::Permission;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Failure, Technical};

/// The most attempts of a job whose type states no other number.
const MAX_ATTEMPTS: i64 = 8;

/// A type of jobs over a context `C`, such as a store. Its name is in the rows of its jobs, so it must never change.
pub struct JobType<C> {
    name: &'static str,
    accepts: fn(&Value) -> bool,
    function: Arc<Erased<C, usize>>,
    condition: Option<Arc<Erased<C, bool>>>,
    schedules: Vec<(Schedule, Value)>,
    max_attempts: i64,
    priority: i64,
    completes: bool,
    is_one_piece: bool,
    required: Option<Permission>,
}

/// What the function of a job is called with.
#[derive(Debug, Clone)]
pub struct JobRun<A> {
    /// The arguments.
    pub arguments: A,
    /// When the attempt began, by the clock of this process.
    pub started_at: Timestamp,
    /// Cancelled when the job is stopped or cancelled.
    pub stop: CancellationToken,
}

/// When a scheduled job is run. After a time in which no process ran it, it is run once and not for each time that was
/// missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// At the first start, and again when this has passed since its end.
    Every(SignedDuration),
    /// Every day at this time, UTC, which has no daylight-saving time.
    Daily(Time),
}

impl<C: Clone + Send + Sync + 'static> JobType<C> {
    /// Returns a type of jobs that run `function` with their arguments, of which `A` reads the members that it needs.
    ///
    /// The function does a bounded piece of the work and returns the number of items that it processed; it is called
    /// again until it returns 0, fails, or the job is cancelled. Its future may be dropped at any await: when the
    /// process stops or the job is cancelled, unless the type is [`JobType::completing`], and when another process has
    /// taken it over. So each piece must be safe to begin again.
    pub fn new<A, Fut>(
        name: &'static str,
        function: impl Fn(C, JobRun<A>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        Fut: Future<Output = Result<usize, Failure>> + Send + 'static,
    {
        Self {
            name,
            accepts: |arguments| A::deserialize(arguments).is_ok(),
            function: erase(function),
            condition: None,
            schedules: Vec::new(),
            max_attempts: MAX_ATTEMPTS,
            priority: 0,
            completes: false,
            is_one_piece: false,
            required: None,
        }
    }

    /// Schedules a job with these arguments.
    #[must_use]
    pub fn scheduled(mut self, schedule: Schedule, arguments: Value) -> Self {
        self.schedules.push((schedule, arguments));
        self
    }

    /// Lets a scheduled job wait, although it is due, until `condition` finds work for it. A condition only reads,
    /// which costs less than a job that finds nothing to do.
    #[must_use]
    pub fn only_if<A, Fut>(mut self, condition: impl Fn(C, JobRun<A>) -> Fut + Send + Sync + 'static) -> Self
    where
        A: DeserializeOwned,
        Fut: Future<Output = Result<bool, Failure>> + Send + 'static,
    {
        self.condition = Some(erase(condition));
        self
    }

    /// Lets the function complete the piece that it is at when the job is stopped or cancelled, within [`COMPLETION`],
    /// for effects that would be repeated otherwise. [`JobRun::stop`] is cancelled then.
    ///
    /// [`COMPLETION`]: super::COMPLETION
    #[must_use]
    pub fn completing(mut self) -> Self {
        self.completes = true;
        self
    }

    /// Calls the function once, and not again until it returns 0: it does the whole work, and returns the number of all
    /// items.
    #[must_use]
    pub fn in_one_piece(mut self) -> Self {
        self.is_one_piece = true;
        self
    }

    /// Sets the number of attempts after which a job fails, 8 by default. A retryable failure is no attempt.
    #[must_use]
    pub fn max_attempts(mut self, attempts: i64) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the priority of the jobs, 0 by default: of the jobs that are due, those with a higher one are run first.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    /// States the permission that administrators need to run or cancel jobs of this type, beside the one for jobs: that
    /// of what the function does. Without it the function does nothing that an administrator could not do by waiting.
    #[must_use]
    pub fn requires(mut self, permission: Permission) -> Self {
        self.required = Some(permission);
        self
    }

    /// Returns the permission that administrators need to run or cancel jobs of this type.
    pub fn required(&self) -> Option<Permission> {
        self.required
    }

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the schedules with their arguments.
    pub fn schedules(&self) -> &[(Schedule, Value)] {
        &self.schedules
    }

    /// Returns the number of attempts after which a job fails.
    pub(super) fn attempts(&self) -> i64 {
        self.max_attempts
    }

    /// Returns the time in which the function may complete a piece when its job is stopped or cancelled.
    pub(super) fn completion(&self) -> Duration {
        if self.completes { COMPLETION } else { Duration::ZERO }
    }

    /// Returns the priority of new jobs.
    pub(super) fn new_priority(&self) -> i64 {
        self.priority
    }

    /// Returns the key of a job with these arguments: there is one open job with them.
    pub(super) fn key(&self, arguments: &Value) -> String {
        match arguments.as_object() {
            Some(members) if !members.is_empty() => format!("{} {arguments}", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// Returns the schedule of the job with this key; `None` if it is run once.
    pub(super) fn schedule_of(&self, key: &str) -> Option<Schedule> {
        let mut schedules = self.schedules.iter();
        schedules.find(|(_, arguments)| self.key(arguments) == key).map(|(schedule, _)| *schedule)
    }

    /// Returns whether the function can read these arguments.
    pub(super) fn accepts(&self, arguments: &Value) -> bool {
        (self.accepts)(arguments)
    }

    /// Returns whether the work is done after the function has returned this number of items.
    pub(super) fn is_done_after(&self, count: usize) -> bool {
        count == 0 || self.is_one_piece
    }

    /// Runs the function once for a job.
    pub(super) fn run(&self, context: C, job: &Job, stop: &CancellationToken) -> JobFuture<usize> {
        (self.function)(context, job, stop)
    }

    /// Returns whether a job that is due has work. One that is run once always has: it has no other occasion to end.
    pub(super) async fn has_work(
        &self,
        context: &C,
        job: &Job,
        stop: &CancellationToken,
    ) -> Result<bool, Failure> {
        match &self.condition {
            Some(condition) if self.schedule_of(&job.unique_key).is_some() => {
                condition(context.clone(), job, stop).await
            }
            _ => Ok(true),
        }
    }
}

impl<C> fmt::Debug for JobType<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobType")
            .field("name", &self.name)
            .field("schedules", &self.schedules)
            .finish_non_exhaustive()
    }
}

impl Schedule {
    /// Returns the time of the next run after one that ended at `now`.
    pub(super) fn next(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Every(interval) => later(now, interval),
            Self::Daily(time) => {
                let today = now.to_zoned(TimeZone::UTC).with().time(time).build();
                let next = today.and_then(|today| {
                    if today.timestamp() > now { Ok(today) } else { today.checked_add(1.day()) }
                });
                next.map_or_else(|_| later(now, SignedDuration::from_hours(24)), |next| next.timestamp())
            }
        }
    }

    /// Returns whether a run may be due at a time by the schedule. If it is due at another one, its job was asked for,
    /// or it is a retry.
    pub(super) fn includes(self, at: Timestamp) -> bool {
        match self {
            Self::Every(_) => true,
            Self::Daily(time) => at.to_zoned(TimeZone::UTC).time() == time,
        }
    }

    /// Returns whether the runs are so frequent that they are not kept: their rows would be most of the history.
    pub(super) fn is_frequent(self) -> bool {
        matches!(self, Self::Every(interval) if interval < SignedDuration::from_mins(1))
    }

    /// Returns the time of the first run of a schedule that begins at `now`.
    pub(super) fn first(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Every(_) => now,
            Self::Daily(_) => self.next(now),
        }
    }
}

/// A function whose type of arguments is erased.
type Erased<C, R> = dyn Fn(C, &Job, &CancellationToken) -> JobFuture<R> + Send + Sync;

type JobFuture<R> = Pin<Box<dyn Future<Output = Result<R, Failure>> + Send>>;

fn erase<C, A, R, Fut>(function: impl Fn(C, JobRun<A>) -> Fut + Send + Sync + 'static) -> Arc<Erased<C, R>>
where
    A: DeserializeOwned,
    R: Send + 'static,
    Fut: Future<Output = Result<R, Failure>> + Send + 'static,
{
    Arc::new(move |context, job: &Job, stop: &CancellationToken| match A::deserialize(&job.arguments) {
        Ok(arguments) => {
            let started_at = job.started_at.unwrap_or(job.due_at);
            Box::pin(function(context, JobRun { arguments, started_at, stop: stop.clone() }))
        }
        Err(error) => Box::pin(ready(Err(Technical::internal(error).into()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_daily_schedule_is_run_once_after_each_time() {
        let daily = Schedule::Daily(jiff::civil::time(3, 0, 0, 0));
        assert_eq!(daily.first(at("2026-03-28T02:59:59Z")), at("2026-03-28T03:00:00Z"));
        assert_eq!(daily.next(at("2026-03-28T03:00:00Z")), at("2026-03-29T03:00:00Z"));
        // a week without a process is one run
        assert_eq!(daily.next(at("2026-04-05T14:00:00Z")), at("2026-04-06T03:00:00Z"));
    }

    #[test]
    fn an_interval_begins_at_the_first_start_and_then_at_the_end_of_each_run() {
        let every = Schedule::Every(SignedDuration::from_mins(10));
        assert_eq!(every.first(at("2026-03-28T00:00:00Z")), at("2026-03-28T00:00:00Z"));
        assert_eq!(every.next(at("2026-03-28T00:00:00Z")), at("2026-03-28T00:10:00Z"));
    }
}
