//! The jobs that process payments: there is one for each payment provider, so that a slow one delays no other.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use super::JobContext;
use crate::application::Store;
use crate::application::payments::provider_scope::ProviderScope;
use crate::application::payments::recovery;
use crate::application::subscriptions::renewals;
use crate::domain::payment::Payment;
use crate::domain::permission::{Permission, Resource};
use crate::domain::subscription::Subscription;
use crate::infrastructure::events::jobs::{JobRun, JobType, Schedule};

/// The time between the ends of two runs.
const INTERVAL: Schedule = Schedule::Every(SignedDuration::from_secs(5));
/// Payments are processed before anything else.
const PRIORITY: i64 = 10;

/// The arguments of the jobs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    /// The payment provider; `None` for all that are not configured.
    provider: Option<String>,
}

/// The job that settles payments without a known outcome.
pub(super) fn recover_payments(store: &Store) -> JobType<JobContext> {
    let job_type = JobType::new("recover_payments", async |context: JobContext, run: JobRun<Provider>| {
        let Some(scope) = scope(&context, &run) else { return Ok(0) };
        recovery::recover_payments(&context.store, scope, context.now()).await
    });
    let job_type = job_type.only_if(async |context: JobContext, run: JobRun<Provider>| {
        // one whose provider was removed ends by itself
        let Some(scope) = scope(&context, &run) else { return Ok(true) };
        scope.any_due::<Payment>(&context.store, context.now()).await
    });
    for_each_provider(job_type.requires(Permission::write(Resource::Orders)), store)
}

/// The job that charges subscriptions.
pub(super) fn renew_subscriptions(store: &Store) -> JobType<JobContext> {
    let job_type = JobType::new("renew_subscriptions", async |context: JobContext, run: JobRun<Provider>| {
        let Some(scope) = scope(&context, &run) else { return Ok(0) };
        renewals::renew_subscriptions(&context.store, scope, context.now()).await
    });
    let job_type = job_type.only_if(async |context: JobContext, run: JobRun<Provider>| {
        // one whose provider was removed ends by itself
        let Some(scope) = scope(&context, &run) else { return Ok(true) };
        scope.any_due::<Subscription>(&context.store, context.now()).await
    });
    for_each_provider(job_type.requires(Permission::write(Resource::Subscriptions)), store)
}

fn for_each_provider(job_type: JobType<JobContext>, store: &Store) -> JobType<JobContext> {
    ProviderScope::all(store).into_iter().fold(job_type.priority(PRIORITY), |job_type, scope| {
        let arguments = match scope {
            ProviderScope::One(name) => json!({"provider": name}),
            ProviderScope::NotConfigured => json!({}),
        };
        job_type.scheduled(INTERVAL, arguments)
    })
}

/// Returns the scope of a job; `None` if its provider is not configured any more: [`ProviderScope::NotConfigured`] has
/// its payments.
fn scope(context: &JobContext, run: &JobRun<Provider>) -> Option<ProviderScope> {
    let Some(name) = &run.arguments.provider else { return Some(ProviderScope::NotConfigured) };
    let mut configured = context.store.infrastructure.gateways.names();
    configured.find(|configured| configured == name).map(ProviderScope::One)
}
