//! The work that a store does outside of requests: its subscribers, its jobs, and the worker that runs them.
//!
//! # Adding one
//!
//! A subscriber is written in the folder of its capability and listed in [`subscribers`]. A job is an async function
//! over a [`JobContext`] in the folder of its capability, and a line with its name and schedule in [`jobs`]. The module
//! `adding_one` below is a complete example of a job; `infrastructure/events` has that of a subscriber.

pub mod dead_letters;
pub mod event_log;
mod job;
mod purge;
pub mod shutdown;
pub mod worker;

use std::time::Duration;

pub use self::job::{Job, JobContext, Schedule};

use crate::application::payments::provider_scope::ProviderScope;
use crate::application::payments::recovery::{recover_payments, reschedule_open_payments};
use crate::application::people::notify;
use crate::application::subscriptions::renewals::renew_subscriptions;
use crate::application::webhooks::fan_out;
use crate::infrastructure::events::Subscriber;

/// The schedule of jobs that process payments.
const MONEY: Schedule = Schedule::Every(Duration::from_secs(5));
/// The schedule of jobs that delete expired rows.
const PURGE: Schedule = Schedule::Every(Duration::from_mins(10));

/// Returns the subscribers of a store; a new subscriber is a line here.
pub fn subscribers() -> Vec<Subscriber> {
    vec![notify::subscriber(), fan_out::subscriber()]
}

/// Returns the jobs of a store; a new job is a line here. Names are permanent. A job that calls payment providers is
/// there once for each of the scopes.
pub fn jobs(scopes: &[ProviderScope]) -> Vec<Job> {
    let mut jobs = vec![
        Job::new("reschedule_open_payments", Schedule::AtStart, async |context: JobContext| {
            reschedule_open_payments(&context.store).await.map(|()| 0)
        }),
        Job::new("purge_carts", PURGE, purge::purge_carts),
        Job::new("purge_idempotency_keys", PURGE, purge::purge_idempotency_keys),
        Job::new("purge_sessions", PURGE, purge::purge_sessions),
        Job::new("purge_events", PURGE, purge::purge_events),
        Job::new("purge_webhook_deliveries", PURGE, purge::purge_webhook_deliveries),
    ];
    for &scope in scopes {
        jobs.push(Job::new("recover_payments", MONEY, move |context: JobContext| async move {
            recover_payments(&context.store, scope, context.now()).await
        }));
        jobs.push(Job::new("renew_subscriptions", MONEY, move |context: JobContext| async move {
            renew_subscriptions(&context.store, scope, context.now()).await
        }));
    }
    jobs
}

#[cfg(test)]
mod adding_one {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Job, JobContext, ProviderScope, Schedule, jobs};
    use crate::infrastructure::exceptions::Failure;
    use crate::infrastructure::repositories::next_number;

    /// Counts the hours in which the store runs.
    async fn count_hours(context: JobContext) -> Result<usize, Failure> {
        let count = context.store.database().write((), async |work, ()| next_number(work, "hours").await);
        count.await?;
        // there is nothing left to do until the next hour
        Ok(0)
    }

    #[test]
    fn a_job_is_a_value_with_its_own_name() {
        let job = Job::new("count_hours", Schedule::Every(Duration::from_hours(1)), count_hours);
        let jobs = jobs(&[ProviderScope::One("sandbox")]);
        let names = jobs.iter().map(Job::name).chain([job.name()]).collect::<BTreeSet<_>>();
        assert_eq!(names.len(), jobs.len() + 1, "{names:?}");
    }
}
