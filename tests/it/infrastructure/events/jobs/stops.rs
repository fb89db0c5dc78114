//! What a stop ends at once, and what it lets complete.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::Barrier;
use undercroft::domain::job::JobStatus;
use undercroft::infrastructure::events::jobs::{JobQueue, JobRun, JobType, Schedule};
use undercroft::infrastructure::exceptions::Failure;

use super::{Context, Named, Running, named, queue, record, until, until_count};
use crate::support::{Shop, eventually};

const HOURLY: Schedule = Schedule::Every(SignedDuration::from_hours(1));

on_both_engines!(conditions_are_checked_at_the_same_time);
async fn conditions_are_checked_at_the_same_time(shop: &Shop) {
    let barrier = Arc::new(Barrier::new(3));
    let types: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let barrier = Arc::clone(&barrier);
            let job_type = JobType::new(name, record).scheduled(HOURLY, named(name));
            job_type.only_if(move |_: Context, _: JobRun<Named>| {
                let barrier = Arc::clone(&barrier);
                async move {
                    barrier.wait().await;
                    Ok(true)
                }
            })
        })
        .collect();
    let log = Context::default();
    let runner = Running::start(&JobQueue::new(shop.database.clone(), types), &log);
    until_count(&shop.database, "started_at IS NOT NULL", 3).await;
    runner.stop().await;
    assert_eq!(log.begun(), ["a", "b", "c"]);
}

on_both_engines!(a_stop_does_not_wait_for_conditions);
async fn a_stop_does_not_wait_for_conditions(shop: &Shop) {
    // one after the other they would take longer than the test waits for the end
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let types = names.map(|name| {
        let job_type = JobType::new(name, record).scheduled(HOURLY, named(name));
        job_type.only_if(async |log: Context, _: JobRun<Named>| {
            log.looks.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<bool, Failure>>().await
        })
    });
    let log = Context::default();
    let runner = Running::start(&JobQueue::new(shop.database.clone(), types), &log);
    eventually("a look", async || log.looks.load(Ordering::SeqCst) > 0).await;
    assert_eq!(runner.stop().await, 0);
    assert_eq!(log.begun(), [""; 0]);
}

/// Completes a piece after the job is stopped or cancelled.
async fn complete(log: Context, run: JobRun<Named>) -> Result<usize, Failure> {
    log.begun.lock().unwrap().push(run.arguments.name);
    run.stop.cancelled().await;
    // an effect that takes some time
    tokio::time::sleep(Duration::from_millis(200)).await;
    log.running.fetch_add(1, Ordering::SeqCst);
    Ok(1)
}

on_both_engines!(a_piece_is_completed_if_its_type_says_so);
async fn a_piece_is_completed_if_its_type_says_so(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("complete", complete).completing());
    let log = Context::default();
    let job = queue.run("complete", named("stopped"), None).await.unwrap();
    let runner = Running::start(&queue, &log);
    // the job is claimed some time before the piece begins
    eventually("the piece begins", async || log.begun().len() == 1).await;
    assert_eq!(runner.stop().await, 1);
    let released = queue.job(job.id).await.unwrap();
    assert_eq!((released.status, released.processed), (JobStatus::Waiting, 1));
    assert_eq!(log.running.load(Ordering::SeqCst), 1);
    assert_eq!(log.begun(), ["stopped"], "no further piece is begun");

    let runner = Running::start(&queue, &log);
    eventually("the next piece begins", async || log.begun().len() == 2).await;
    queue.cancel(job.id).await.unwrap();
    let cancelled = until(&queue, job.id, |job| job.ended_at.is_some()).await;
    assert_eq!((cancelled.status, cancelled.processed), (JobStatus::Cancelled, 1));
    runner.stop().await;
    assert_eq!(log.running.load(Ordering::SeqCst), 2);
}
