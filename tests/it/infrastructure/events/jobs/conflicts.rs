//! Which jobs make way for others, and what a failure or a cancellation leaves of the others.

use jiff::SignedDuration;
use undercroft::domain::job::JobStatus;
use undercroft::infrastructure::events::jobs::{JobQueue, JobRun, JobType};
use undercroft::infrastructure::exceptions::{Conflict, Failure, Technical};
use undercroft::infrastructure::repositories::JobRepository;

use super::{Context, Named, Running, count, hold, lease, named, queue, record, until, until_count};
use crate::support::store::execute;
use crate::support::{Shop, ShopOptions};

/// How an open job may end.
const ENDS: [&[&str]; 3] = [
    &["UPDATE jobs SET status = 'succeeded', ended_at = created_at WHERE ended_at IS NULL"],
    &["UPDATE jobs SET status = 'failed', ended_at = created_at WHERE ended_at IS NULL"],
    &["UPDATE jobs SET status = 'cancelled', ended_at = created_at WHERE ended_at IS NULL"],
];

on_both_engines!(a_job_that_is_open_is_kept_and_made_due_now, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_job_that_is_open_is_kept_and_made_due_now(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    let (now, in_hours) = (shop.now(), |hours| Some(shop.now() + SignedDuration::from_hours(hours)));
    let job = queue.run("record", named("r"), in_hours(2)).await.unwrap();

    // with a time the open job keeps its own, without one it is due now
    for due_at in [in_hours(1), in_hours(3)] {
        let kept = queue.run("record", named("r"), due_at).await.unwrap();
        assert_eq!((kept.id, Some(kept.due_at)), (job.id, in_hours(2)));
    }
    let replaced = queue.run("record", named("r"), None).await.unwrap();
    assert_eq!((replaced.id, replaced.due_at), (job.id, now));

    // one that is running or waits for a retry is open, too
    lease(&shop.database, job.id).await;
    let running = queue.run("record", named("r"), None).await.unwrap();
    assert_eq!((running.id, running.status), (job.id, JobStatus::Running));
    execute(&shop.database, &["UPDATE jobs SET status = 'waiting', lease = NULL, failures = 1"]).await;
    assert_eq!(queue.run("record", named("r"), None).await.unwrap().id, job.id);

    for end in ENDS {
        let open = queue.run("record", named("r"), None).await.unwrap();
        execute(&shop.database, end).await;
        assert_ne!(queue.run("record", named("r"), None).await.unwrap().id, open.id, "{end:?}");
    }
    assert_eq!(count(&shop.database, "ended_at IS NULL").await, 1);
}

on_both_engines!(a_job_that_fails_delays_none_of_those_that_are_due_with_it);
async fn a_job_that_fails_delays_none_of_those_that_are_due_with_it(shop: &Shop) {
    let job_type = JobType::new("record", async |log: Context, run: JobRun<Named>| {
        let fails = run.arguments.name == "5";
        record(log, run).await?;
        if fails { Err(Technical::internal("number 5").into()) } else { Ok(0) }
    });
    let queue = queue(&shop.database, job_type);
    for number in 0..10 {
        queue.run("record", named(&number.to_string()), None).await.unwrap();
    }
    let log = Context::default();
    let runner = Running::start(&queue, &log);
    until_count(&shop.database, "status = 'succeeded' AND attempts = 1", 9).await;
    until_count(&shop.database, "status = 'waiting' AND failures >= 1", 1).await;
    runner.stop().await;
    let fives = log.begun().iter().filter(|name| *name == "5").count();
    assert_eq!(log.begun().len() - fives, 9, "the others are not run again");
}

on_both_engines!(a_job_that_waits_for_a_retry_is_cancelled, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_job_that_waits_for_a_retry_is_cancelled(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("refuse", super::refuse));
    let job = queue.run("refuse", named("r"), None).await.unwrap();
    let log = Context::default();
    let runner = Running::start(&queue, &log);
    until(&queue, job.id, |job| job.failures == 1).await;

    // a cancellation that is rolled back has no effect
    let rolled_back = shop.database.write(job.id, async |work, id| {
        assert_eq!(JobRepository::cancel(work, *id, true).await?, Some(JobStatus::Waiting));
        Err::<(), _>(Failure::from(Conflict::Stale))
    });
    assert!(rolled_back.await.is_err());
    assert_eq!(queue.job(job.id).await.unwrap().status, JobStatus::Waiting);

    assert_eq!(queue.cancel(job.id).await.unwrap().status, JobStatus::Cancelled);
    shop.clock().advance(SignedDuration::from_hours(1));
    let other = queue.run("refuse", named("other"), None).await.unwrap();
    until(&queue, other.id, |job| job.failures == 1).await;
    runner.stop().await;
    assert_eq!(log.begun(), ["other", "r"], "it is not attempted again");
}

on_both_engines!(a_job_of_an_unknown_type_ends_when_it_is_cancelled);
async fn a_job_of_an_unknown_type_ends_when_it_is_cancelled(shop: &Shop) {
    let newer = queue(&shop.database, JobType::new("hold", hold));
    let older = JobQueue::new(shop.database.clone(), [JobType::new("record", record)]);
    let waiting = newer.run("hold", named("waits"), None).await.unwrap();
    assert_eq!(older.cancel(waiting.id).await.unwrap().status, JobStatus::Cancelled);

    let running = newer.run("hold", named("runs"), None).await.unwrap();
    let leased = lease(&shop.database, running.id).await;
    let cancelled = older.cancel(running.id).await.unwrap();
    assert_eq!((cancelled.status, cancelled.lease), (JobStatus::Cancelled, None));
    assert!(cancelled.ended_at.is_some());

    // a process that runs it nevertheless has lost it
    let renewed = shop.database.write(leased, async |work, job| JobRepository::renew(work, job, 1).await);
    assert_eq!(renewed.await.unwrap(), None);
    assert_eq!(older.cancel(running.id).await.unwrap_err().code(), "forbidden_transition");
}
