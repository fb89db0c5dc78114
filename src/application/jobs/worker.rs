//! The worker: delivers events, handles the notices of payment providers, and runs the jobs.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::job::{Job, JobContext, Schedule};
use super::{jobs, subscribers};
use crate::application::Store;
use crate::application::payments::gateway_calls::refresh;
use crate::infrastructure::events::EventDispatcher;

/// The longest wait for the next event. A commit of this process ends it; one of another process does not.
const POLL: Duration = Duration::from_secs(2);

/// Runs the worker of a store until `stop` is cancelled. Units of work that have begun by then are finished.
pub async fn work(store: Store, stop: CancellationToken) {
    let dispatcher = EventDispatcher::new(store.database().clone(), subscribers());
    let context = JobContext { store, dispatcher };
    let jobs = jobs();
    tokio::join!(
        deliver_events(&context, &stop),
        follow_notices(&context.store, &stop),
        run_jobs(&jobs, &context, &stop),
    );
}

/// Delivers events as they are committed.
async fn deliver_events(context: &JobContext, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let committed = context.store.database().committed().notified();
        if let Err(failure) = context.dispatcher.deliver(stop).await {
            tracing::warn!(failure = %failure.report(), "events were not delivered, retrying");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = committed => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Looks up the payments about which providers send notices.
async fn follow_notices(store: &Store, stop: &CancellationToken) {
    let notices = store.infrastructure.gateways.notices();
    loop {
        let payment_id = tokio::select! {
            () = stop.cancelled() => return,
            payment_id = notices.next() => payment_id,
        };
        if let Err(failure) = refresh(store, payment_id).await {
            tracing::warn!(payment = %payment_id, failure = %failure.report(), "the payment of a notice was not looked up");
        }
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
