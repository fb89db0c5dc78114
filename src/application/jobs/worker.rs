//! The worker: delivers events, sends webhooks, and runs the jobs; and what each process that serves does beside
//! requests.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{JobContext, job_queue};
use crate::application::payments::recovery::{process_notice, reschedule_open_payments};
use crate::application::webhooks::sender;
use crate::application::{Store, emails};
use crate::domain::ids::PaymentId;
use crate::infrastructure::adapters::NoticeQueue;
use crate::infrastructure::events::jobs::{COMPLETION, JobRunner};
use crate::infrastructure::events::{BrokerTasks, EventDispatcher};

/// The wait before what has to precede the jobs is repeated.
const POLL: Duration = Duration::from_secs(2);

/// The longest time to release the running jobs when the worker stops, some of which complete a piece before.
const RELEASE: Duration = COMPLETION.saturating_add(Duration::from_secs(1));

/// How often the worker reads whether the database is live.
const ROLE: Duration = Duration::from_secs(1);

/// Runs the worker of a store, and what [`accompany`] does, until `stop` is cancelled. While the database is a standby,
/// or if the store has moved to another one, the worker waits.
///
/// What it does when it stops is dropped, calls to payment providers included, so that it ends in a moment whatever a
/// provider does. That is safe as a crash is: a unit of work is committed as a whole or not at all, an event that was
/// not delivered is delivered later, and a payment without a known outcome is recovered at the next start. Running
/// jobs are released for another process; e-mails that are being sent are completed before, for up to [`COMPLETION`].
pub async fn work(store: Store, stop: CancellationToken) {
    tokio::join!(accompany(store.clone(), stop.clone()), work_while_live(&store, &stop));
}

/// Does what each process needs whose use cases or requests concern payments, also one without a worker, until `stop`
/// is cancelled: processes the notices of payments, which are in the memory of the process that got them, and listens
/// for commits of other processes.
pub async fn accompany(store: Store, stop: CancellationToken) {
    let tasks = async { tokio::join!(process_notices(&store), store.database().listen()) };
    stop.run_until_cancelled(tasks).await;
}

/// Runs the tasks of the worker whenever the database is live.
async fn work_while_live(store: &Store, stop: &CancellationToken) {
    while stop.run_until_cancelled(until_live(store, true)).await.is_some() {
        let ended = stop.child_token();
        let watching = async {
            until_live(store, false).await;
            tracing::info!("the database is a standby, or its store has moved: the worker waits");
            ended.cancel();
        };
        tokio::join!(run_tasks(store, &ended), ended.run_until_cancelled(watching));
    }
}

/// Waits until the database is live, or until it is not.
async fn until_live(store: &Store, wanted: bool) {
    loop {
        match store.database().role().await {
            Ok(role) if role.not_live().is_none() == wanted => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the role of the database cannot be read"),
        }
        sleep(ROLE).await;
    }
}

/// Runs the tasks of the worker until `stop` is cancelled.
async fn run_tasks(store: &Store, stop: &CancellationToken) {
    let context = JobContext::new(store);
    tokio::join!(
        stop.run_until_cancelled(context.dispatcher.run(stop)),
        stop.run_until_cancelled(sender::send(store)),
        run_broker(store, context.dispatcher.clone(), stop),
        run_jobs(store, context.clone(), stop),
    );
}

/// Runs the relay and the receiver, if there is a broker.
async fn run_broker(store: &Store, dispatcher: EventDispatcher, stop: &CancellationToken) {
    let Some(broker) = store.infrastructure.broker.clone() else { return };
    let tasks = BrokerTasks::new(dispatcher, broker);
    // boxed for the size of the future
    stop.run_until_cancelled(Box::pin(tasks.run(stop))).await;
    tasks.end().await;
}

/// Runs the jobs, and releases those that are running when `stop` is cancelled.
async fn run_jobs(store: &Store, context: JobContext, stop: &CancellationToken) {
    let (bus, sampled) = (store.infrastructure.bus.clone(), store.infrastructure.sampled);
    let jobs = JobRunner::new(job_queue(store), context).reporting_to(bus, sampled);
    if stop.run_until_cancelled(prepare(store)).await.is_none() {
        return;
    }
    let stopped = async {
        stop.cancelled().await;
        sleep(RELEASE).await;
    };
    tokio::select! {
        released = jobs.run(stop) => tracing::debug!(released, "released the running jobs"),
        () = stopped => tracing::warn!("running jobs could not be released; another process takes them over"),
    }
}

/// Does what has to precede the jobs, again until it succeeds.
async fn prepare(store: &Store) {
    // a process that was killed may have begun their recovery
    while let Err(failure) = reschedule_open_payments(store).await {
        tracing::warn!(failure = %failure.report(), "open payments were not rescheduled, retrying");
        sleep(POLL).await;
    }
    while let Err(failure) = emails::begin(store).await {
        tracing::warn!(failure = %failure.report(), "no e-mails are written yet, retrying");
        sleep(POLL).await;
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
