//! The work that a store does outside of requests: its subscribers, its jobs, and the worker that runs them.
//!
//! # Adding one
//!
//! A subscriber is written in the folder of its capability and listed in [`subscribers`]. A job is an async function
//! over a [`JobContext`] and a [`JobRun`] with its arguments, and a line with its name in [`job_types`]. The module
//! `adding_one`, at the end of `src/application/jobs/mod.rs`, is a complete example of a job; `infrastructure/events`
//! has that of a subscriber. Both have a section on other services, which need nothing of this module.

pub mod dead_letters;
pub mod event_log;
mod payments;
mod purge;
pub mod shutdown;
pub mod worker;

use jiff::civil::time;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::application::catalogue::caches;
use crate::application::emails::{compose, digest, sender};
use crate::application::people::{access_tokens, notify};
use crate::application::webhooks::fan_out;
use crate::application::{Store, consistency};
use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::domain::permission::{Permission, Permissions, Resource};
use crate::infrastructure::events::jobs::{JobQueue, JobRun, JobType, Schedule};
use crate::infrastructure::events::{EventDispatcher, Subscriber};
use crate::infrastructure::exceptions::{Failure, Technical, UnauthorizedAccessException};

/// The time between the ends of two runs of a job that deletes expired rows.
const PURGE: Schedule = Schedule::Every(SignedDuration::from_mins(10));
/// The time between the ends of two runs of a job that does what others wait for.
const SOON: Schedule = Schedule::Every(SignedDuration::from_secs(5));
/// The time of the digest, UTC.
const IN_THE_MORNING: Schedule = Schedule::Daily(time(6, 0, 0, 0));
/// The time of the jobs that read much, UTC.
const AT_NIGHT: Schedule = Schedule::Daily(time(3, 0, 0, 0));

/// The store and the dispatcher that a job uses. Clones share everything.
#[derive(Clone)]
pub struct JobContext {
    /// The store.
    pub store: Store,
    /// The dispatcher over the store's subscribers.
    pub dispatcher: EventDispatcher,
}

impl JobContext {
    /// Returns the context of the jobs of a store.
    pub fn new(store: &Store) -> Self {
        let bus = &store.infrastructure.bus;
        let subscribers: Vec<_> =
            subscribers().into_iter().map(|subscriber| subscriber.reporting_to(bus.clone())).collect();
        let mut dispatcher = EventDispatcher::new(store.database().clone(), subscribers);
        if store.infrastructure.broker.is_some() {
            dispatcher = dispatcher.behind_broker();
        }
        Self { store: store.clone(), dispatcher }
    }

    /// Returns the time of the store's clock.
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }
}

/// The arguments of a job that has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

/// Returns the subscribers of a store; a new subscriber is a line here.
pub fn subscribers() -> Vec<Subscriber> {
    vec![notify::subscriber(), compose::subscriber(), fan_out::subscriber()]
}

/// Returns the types of the jobs of a store; a new one is a line here. Names are permanent.
pub fn job_types(store: &Store) -> Vec<JobType<JobContext>> {
    vec![
        payments::recover_payments(store),
        payments::renew_subscriptions(store),
        scheduled("purge_carts", PURGE, purge::purge_carts),
        scheduled("purge_idempotency_keys", PURGE, purge::purge_idempotency_keys),
        scheduled("purge_sessions", PURGE, purge::purge_sessions),
        scheduled("purge_user_tokens", PURGE, purge::purge_user_tokens),
        scheduled("rotate_access_token_keys", PURGE, rotate_access_token_keys),
        scheduled("purge_events", PURGE, purge::purge_events),
        scheduled("purge_webhook_deliveries", PURGE, purge::purge_webhook_deliveries),
        scheduled("purge_jobs", PURGE, purge::purge_jobs),
        scheduled("expire_emails", PURGE, purge::expire_emails),
        scheduled("purge_emails", PURGE, purge::purge_emails),
        scheduled("clean_files", PURGE, purge::clean_files),
        JobType::new("send_emails", send_emails)
            .only_if(async |context: JobContext, _: JobRun<NoArguments>| {
                sender::any_due(&context.store).await
            })
            .completing()
            .requires(Permission::write(Resource::Emails))
            .scheduled(SOON, json!({})),
        scheduled("send_digest", IN_THE_MORNING, send_digest)
            .requires(Permission::write(Resource::Emails))
            .max_attempts(1),
        scheduled("check_consistency", AT_NIGHT, check_consistency).max_attempts(1),
        JobType::new("retry_dead_letters", dead_letters::retry_all)
            .requires(Permission::write(Resource::DeadLetters)),
        JobType::new(caches::WARM_CACHES, warm_caches)
            .in_one_piece()
            .requires(Permission::write(Resource::Caches)),
    ]
}

/// Returns the jobs of a store.
pub fn job_queue(store: &Store) -> JobQueue<JobContext> {
    JobQueue::new(store.database().clone(), job_types(store))
}

/// Runs a job for an administrator with these permissions; see [`JobQueue::run`].
///
/// # Errors
///
/// Those of [`JobQueue::run`], and [`UnauthorizedAccessException::MissingPermission`] with the permission of what
/// the job does.
pub async fn run(
    store: &Store,
    permissions: Permissions,
    name: &str,
    arguments: Value,
    due_at: Option<Timestamp>,
) -> Result<Job, Failure> {
    let queue = job_queue(store);
    check_permission(&queue, permissions, name)?;
    queue.run(name, arguments, due_at).await
}

/// Cancels a job for an administrator with these permissions; see [`JobQueue::cancel`].
///
/// # Errors
///
/// Those of [`JobQueue::cancel`], and [`UnauthorizedAccessException::MissingPermission`] with the permission of
/// what the job does.
pub async fn cancel(store: &Store, permissions: Permissions, id: JobId) -> Result<Job, Failure> {
    let queue = job_queue(store);
    check_permission(&queue, permissions, &queue.job(id).await?.name)?;
    queue.cancel(id).await
}

/// Fails unless an administrator may do what the jobs of a type do.
fn check_permission(
    queue: &JobQueue<JobContext>,
    permissions: Permissions,
    name: &str,
) -> Result<(), Failure> {
    let job_type = queue.types().iter().find(|job_type| job_type.name() == name);
    let required = job_type.and_then(JobType::required);
    UnauthorizedAccessException::check_permissions(permissions, required)
}

/// Returns a type of jobs without arguments, of which one is run by a schedule.
fn scheduled<F>(
    name: &'static str,
    schedule: Schedule,
    run: impl Fn(JobContext) -> F + Send + Sync + 'static,
) -> JobType<JobContext>
where
    F: Future<Output = Result<usize, Failure>> + Send + 'static,
{
    JobType::new(name, move |context, _: JobRun<NoArguments>| run(context)).scheduled(schedule, json!({}))
}

async fn send_emails(context: JobContext, run: JobRun<NoArguments>) -> Result<usize, Failure> {
    sender::send_due(&context.store, &run.stop).await
}

async fn rotate_access_token_keys(context: JobContext) -> Result<usize, Failure> {
    access_tokens::rotate_if_due(&context.store).await?;
    Ok(0)
}

async fn send_digest(context: JobContext) -> Result<usize, Failure> {
    digest::send(&context.store).await.map(|()| 0)
}

/// Checks the rules that the data must fulfil at all times. The job fails if one is violated, of which the
/// administrators are notified.
async fn check_consistency(context: JobContext) -> Result<usize, Failure> {
    let violations = consistency::check(context.store.database(), false).await?;
    if violations.is_empty() {
        return Ok(0);
    }
    let violated: Vec<_> =
        violations.iter().map(|violation| format!("{} ({} rows)", violation.rule, violation.rows)).collect();
    Err(Technical::internal(format!("rules are violated: {}", violated.join("; "))).into())
}

/// Loads what shoppers read first into the caches of this process, and of all processes if they share a Redis.
async fn warm_caches(context: JobContext, _: JobRun<NoArguments>) -> Result<usize, Failure> {
    let entries = caches::warm(&context.store).await?;
    tracing::info!(entries, "the caches are warm");
    Ok(entries)
}

#[cfg(test)]
mod adding_one {
    use jiff::SignedDuration;
    use serde::Deserialize;
    use serde_json::json;

    use super::{JobRun, JobType, Schedule};
    use crate::infrastructure::events::jobs::JobQueue;
    use crate::infrastructure::exceptions::Failure;
    use crate::infrastructure::repositories::{Database, new_database, next_number};

    /// The arguments of the job.
    #[derive(Deserialize)]
    struct Counter {
        name: String,
    }

    /// Counts the hours in which a store runs.
    async fn count_hours(database: Database, run: JobRun<Counter>) -> Result<usize, Failure> {
        database.write(run.arguments.name, async |work, name| next_number(work, name).await).await?;
        // there is nothing left to do until the next hour
        Ok(0)
    }

    #[tokio::test]
    async fn a_job_is_a_type_with_its_own_name() {
        let hourly = Schedule::Every(SignedDuration::from_hours(1));
        let job_type = JobType::new("count_hours", count_hours).scheduled(hourly, json!({"name": "hours"}));
        let (_folder, database) = new_database().await;
        let queue = JobQueue::new(database, [job_type]);
        let job = queue.run("count_hours", json!({"name": "minutes"}), None).await.unwrap();
        let same = queue.run("count_hours", json!({"name": "minutes", "omitted": null}), None).await.unwrap();
        assert_eq!(job.id, same.id);
        assert!(queue.run("count_hours", json!({"name": 1}), None).await.is_err());
    }
}
