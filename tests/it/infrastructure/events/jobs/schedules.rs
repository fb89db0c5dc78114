//! Scheduled jobs, and the rows that remain of jobs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::time;
use tokio::time::sleep;
use undercroft::domain::job::JobStatus;
use undercroft::infrastructure::events::jobs::{JobQueue, JobRun, JobType, Schedule};
use undercroft::infrastructure::exceptions::{Conflict, Failure};
use undercroft::infrastructure::repositories::{DatabaseError, JobFilter, JobRepository};

use super::{Context, Named, Running, count, named, queue, record, until_count};
use crate::support::{Shop, ShopOptions};

on_both_engines!(a_schedule_has_one_job_which_is_kept_if_it_did_something);
async fn a_schedule_has_one_job_which_is_kept_if_it_did_something(shop: &Shop) {
    let hourly = Schedule::Every(SignedDuration::from_hours(1));
    let work = JobType::new("work", async |log: Context, run: JobRun<Named>| {
        log.begun.lock().unwrap().push(run.arguments.name);
        // one item, and then nothing
        Ok(log.running.fetch_add(1, Ordering::SeqCst).checked_sub(1).map_or(1, |_| 0))
    });
    let types =
        [work.scheduled(hourly, named("w")), JobType::new("nothing", record).scheduled(hourly, named("n"))];
    let queue = JobQueue::new(shop.database.clone(), types);
    let log = Context::default();
    let runners: Vec<_> = (0..3).map(|_| Running::start(&queue, &log)).collect();
    while count(&shop.database, "status = 'waiting' AND started_at IS NOT NULL AND name = 'nothing'").await
        == 0
        || count(&shop.database, "status = 'succeeded'").await == 0
    {
        sleep(Duration::from_millis(50)).await;
    }
    for runner in runners {
        runner.stop().await;
    }
    assert_eq!(log.begun(), ["n", "w", "w"]);
    assert_eq!(count(&shop.database, "ended_at IS NULL").await, 2);
    assert_eq!(count(&shop.database, "status = 'succeeded' AND processed = 1 AND name = 'work'").await, 1);
    let filter = JobFilter { name: Some("work".into()), status: Some(JobStatus::Waiting) };
    let next = queue.jobs(&filter, 10, None).await.unwrap().items.remove(0);
    assert!(next.due_at > shop.now());

    // a run that is cancelled leaves the next one
    queue.cancel(next.id).await.unwrap();
    let after = queue.jobs(&filter, 10, None).await.unwrap().items.remove(0);
    assert!(after.id != next.id && after.due_at > shop.now());
}

on_both_engines!(
    a_scheduled_job_is_never_due_later_than_its_schedule,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn a_scheduled_job_is_never_due_later_than_its_schedule(shop: &Shop) {
    let hourly = Schedule::Every(SignedDuration::from_hours(1));
    let queue = queue(&shop.database, JobType::new("record", record).scheduled(hourly, named("r")));
    let far = "2100-01-01T00:00:00Z".parse().unwrap();
    let job = queue.run("record", named("r"), Some(far)).await.unwrap();
    let runner = Running::start(&queue, &Context::default());
    super::until(&queue, job.id, |job| job.due_at < far).await;
    runner.stop().await;
    let due_at = queue.job(job.id).await.unwrap().due_at;
    assert_eq!(due_at.duration_since(shop.now()), SignedDuration::from_hours(1));
}

on_both_engines!(a_daily_job_that_was_asked_for_is_kept, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_daily_job_that_was_asked_for_is_kept(shop: &Shop) {
    let daily = Schedule::Daily(time(3, 0, 0, 0));
    let queue = queue(&shop.database, JobType::new("record", record).scheduled(daily, named("r")));
    let runner = Running::start(&queue, &Context::default());
    until_count(&shop.database, "status = 'waiting'", 1).await;
    let job = queue.run("record", named("r"), None).await.unwrap();
    super::until(&queue, job.id, |job| job.status == JobStatus::Succeeded).await;

    shop.clock().advance(SignedDuration::from_hours(4));
    until_count(&shop.database, "status = 'waiting' AND started_at IS NOT NULL", 1).await;
    runner.stop().await;
    assert_eq!(count(&shop.database, "TRUE").await, 2, "the run by the schedule is not kept");
}

on_both_engines!(a_job_that_is_not_scheduled_ends_without_work);
async fn a_job_that_is_not_scheduled_ends_without_work(shop: &Shop) {
    let job_type = JobType::new("record", record).only_if(async |_: Context, _: JobRun<Named>| Ok(false));
    let queue = queue(&shop.database, job_type);
    let job = queue.run("record", named("r"), None).await.unwrap();
    let runner = Running::start(&queue, &Context::default());
    super::until(&queue, job.id, |job| job.status == JobStatus::Succeeded).await;
    runner.stop().await;
}

on_both_engines!(a_scheduled_job_without_work_writes_nothing);
async fn a_scheduled_job_without_work_writes_nothing(shop: &Shop) {
    let job_type = JobType::new("record", record)
        .scheduled(Schedule::Every(SignedDuration::from_millis(1)), named("r"))
        .only_if(async |log: Context, _: JobRun<Named>| {
            // the test decides when there is work
            log.looks.fetch_add(1, Ordering::SeqCst);
            Ok(log.running.load(Ordering::SeqCst) > 0)
        });
    let queue = queue(&shop.database, job_type);
    let log = Context::default();
    let runner = Running::start(&queue, &log);
    for _ in 0..1200 {
        if log.looks.load(Ordering::SeqCst) >= 3 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert!(log.looks.load(Ordering::SeqCst) >= 3);
    assert_eq!(count(&shop.database, "attempts = 0 AND started_at IS NULL AND status = 'waiting'").await, 1);
    runner.stop().await;
    assert_eq!(queue.count_due(&log).await.unwrap(), 0, "it is due, and has no work");

    log.running.fetch_add(1, Ordering::SeqCst);
    assert_eq!(queue.count_due(&log).await.unwrap(), 1);
    let runner = Running::start(&queue, &log);
    until_count(&shop.database, "started_at IS NOT NULL", 1).await;
    runner.stop().await;
    assert_eq!(count(&shop.database, "TRUE").await, 1);
}

on_both_engines!(jobs_that_ended_are_deleted_and_no_others, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn jobs_that_ended_are_deleted_and_no_others(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    for name in ["a", "b", "c"] {
        let job = queue.run("record", named(name), None).await.unwrap();
        if name != "c" {
            queue.cancel(job.id).await.unwrap();
        }
    }
    let before = shop.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    for expected in [1, 1, 0] {
        let purge =
            shop.database.write(before, async |work, before| JobRepository::purge(work, *before, 1).await);
        let purged: Result<u64, DatabaseError> = purge.await;
        assert_eq!(purged.unwrap(), expected);
    }
    assert_eq!(count(&shop.database, "status = 'waiting'").await, 1);
}

on_both_engines!(a_job_is_created_with_its_transaction_or_not_at_all);
async fn a_job_is_created_with_its_transaction_or_not_at_all(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    let create = shop.database.write(queue, async |work, queue| {
        let now = work.now();
        queue.types()[0].create(work, named("r"), now).await?;
        Err::<(), _>(Failure::from(Conflict::OpenOrders))
    });
    assert!(create.await.is_err());
    assert_eq!(count(&shop.database, "TRUE").await, 0);
}
