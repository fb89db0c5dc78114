//! The worker: delivers events, sends webhooks, processes notices of payments, and runs the jobs.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::event_log::dispatcher;
use super::job::{Job, JobContext, Schedule};
use super::jobs;
use crate::application::Store;
use crate::application::payments::provider_scope::ProviderScope;
use crate::application::payments::recovery::process_notice;
use crate::application::webhooks::sender;
use crate::domain::ids::PaymentId;
use crate::infrastructure::adapters::NoticeQueue;
use crate::infrastructure::events::Subscriber;

/// The longest wait for the next event. A commit ends it, except one of another process of which no notification came.
const POLL: Duration = Duration::from_secs(2);

/// Runs the worker of a store until `stop` is cancelled.
///
/// What it does at that time is dropped, calls to payment providers included, so that it ends in a moment whatever a
/// provider does. That is safe as a crash is: a unit of work is committed as a whole or not at all, an event that was
/// not delivered is delivered later, and a payment without a known outcome is recovered at the next start.
pub async fn work(store: Store, stop: CancellationToken) {
    let jobs = jobs(&ProviderScope::all(&store));
    let context = JobContext { dispatcher: dispatcher(&store), store };
    let working = async {
        tokio::join!(
            deliver_events(&context, &stop),
            process_notices(&context.store),
            sender::send(&context.store),
            context.store.database().listen(),
            run_jobs(&jobs, &context, &stop),
        )
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = working => {}
    }
}

/// Delivers events as they are committed, to each subscriber at its own pace.
async fn deliver_events(context: &JobContext, stop: &CancellationToken) {
    let subscribers = context.dispatcher.subscribers().iter();
    join_all(subscribers.map(|subscriber| deliver_events_to(subscriber, context, stop))).await;
}

async fn deliver_events_to(subscriber: &Subscriber, context: &JobContext, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let committed = context.store.database().committed().notified();
        if let Err(failure) = context.dispatcher.deliver_to(subscriber, stop).await {
            let (subscriber, failure) = (subscriber.name(), failure.report());
            tracing::warn!(subscriber, %failure, "events were not delivered, retrying");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = committed => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Processes the notices of each provider, a limited number of each at the same time.
async fn process_notices(store: &Store) {
    let gateways = &store.infrastructure.gateways;
    let queues = gateways.names().filter_map(|name| gateways.notices(name));
    join_all(queues.map(|queue| process_queue(store, queue))).await;
}

async fn process_queue(store: &Store, queue: &NoticeQueue) {
    let notices = stream::repeat_with(|| queue.next()).buffered(1);
    let concurrency = store.infrastructure.gateways.concurrency();
    notices.for_each_concurrent(concurrency, |payment_id| process(store, payment_id)).await;
}

/// Processes a notice. A failure is logged.
async fn process(store: &Store, payment_id: PaymentId) {
    if let Err(failure) = process_notice(store, payment_id).await {
        let failure = failure.report();
        tracing::warn!(payment = %payment_id, %failure, "the notice of a payment was not processed; the recovery replaces it");
    }
}

/// Runs jobs by their schedules until `stop` is cancelled: those at the start one after the other, then the rest
/// concurrently. A job that fails is logged, and run again by its schedule.
pub async fn run_jobs(jobs: &[Job], context: &JobContext, stop: &CancellationToken) {
    for job in jobs.iter().filter(|job| job.schedule() == Schedule::AtStart) {
        run_until_done(job, context, stop).await;
    }
    join_all(jobs.iter().map(|job| async move {
        let Schedule::Every(interval) = job.schedule() else { return };
        while !stop.is_cancelled() {
            run_until_done(job, context, stop).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(interval) => {}
            }
        }
    }))
    .await;
}

/// Runs a job piece by piece until nothing is left to do, it fails, or `stop` is cancelled.
async fn run_until_done(job: &Job, context: &JobContext, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match job.run(context).await {
            Ok(0) => return,
            Ok(processed) => tracing::debug!(job = job.name(), processed, "ran a job"),
            Err(failure) => {
                tracing::warn!(job = job.name(), failure = %failure.report(), "a job failed");
                return;
            }
        }
    }
}
