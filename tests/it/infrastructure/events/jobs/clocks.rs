//! Clocks that disagree, and times in which no process ran.

use std::sync::Arc;

use jiff::{SignedDuration, civil::time};
use undercroft::domain::context::{Clock, ManualClock, SystemIds};
use undercroft::domain::job::JobStatus;
use undercroft::infrastructure::events::jobs::{JobQueue, JobType, Schedule};
use undercroft::infrastructure::repositories::{Database, JobFilter, Setup};

use super::{Context, Running, count, hold, named, record, until, until_count};
use crate::support::{Shop, ShopOptions, awaited};

const HOURLY: Schedule = Schedule::Every(SignedDuration::from_hours(1));
const AT_THREE: Schedule = Schedule::Daily(time(3, 0, 0, 0));

/// The shop's database as a process opens it whose clock is wrong by some minutes.
async fn with_clock(shop: &Shop, minutes: i64) -> Database {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(shop.now() + SignedDuration::from_mins(minutes)));
    let ids = Arc::new(SystemIds::new(Arc::clone(&clock)));
    let context = undercroft::domain::context::Context { clock, ids };
    Database::open(&shop.url.parse().unwrap(), context, Setup::IfEmpty).await.unwrap()
}

fn types() -> [JobType<Context>; 3] {
    let hourly = JobType::new("hourly", record).scheduled(HOURLY, named("hourly"));
    let daily = JobType::new("daily", record).scheduled(AT_THREE, named("daily"));
    [hourly, daily, JobType::new("hold", hold)]
}

on_both_engines!(processes_whose_clocks_disagree_run_each_job_once, ShopOptions::at("2026-01-01T02:00:00Z"));
async fn processes_whose_clocks_disagree_run_each_job_once(shop: &Shop) {
    let ahead = JobQueue::new(with_clock(shop, 10).await, types());
    let behind = JobQueue::new(with_clock(shop, -10).await, types());
    let (early, late) = (Context::default(), Context::default());

    // due for the process that is ahead, in 20 minutes for the other one
    let held = ahead.run("hold", named("held"), None).await.unwrap();
    let second = Running::start(&behind, &late);
    until_count(&shop.database, "name = 'hourly' AND started_at IS NOT NULL", 1).await;
    assert_eq!(ahead.job(held.id).await.unwrap().status, JobStatus::Waiting);
    let first = Running::start(&ahead, &early);
    let renewed = until(&ahead, held.id, |job| job.renewals >= 4).await;
    assert_eq!((renewed.status, renewed.attempts), (JobStatus::Running, 1), "the lease is not taken over");
    assert_eq!((early.begun(), late.begun()), (vec!["held".to_owned()], vec!["hourly".to_owned()]));
    assert_eq!(count(&shop.database, "ended_at IS NULL").await, 3, "one job for each schedule");

    // what the process that is behind releases or creates, the other one runs
    second.stop().await;
    let other = behind.run("hold", named("other"), None).await.unwrap();
    until(&ahead, other.id, |job| job.status == JobStatus::Running).await;
    assert_eq!(first.stop().await, 2);
}

on_both_engines!(after_a_downtime_each_schedule_is_run_once, ShopOptions::at("2026-10-24T23:30:00Z"));
async fn after_a_downtime_each_schedule_is_run_once(shop: &Shop) {
    let queue = JobQueue::new(shop.database.clone(), types());
    let log = Context::default();
    // five hours, with the end of daylight-saving time in Europe, a day, a week, and an interval
    for (hours, hourly, daily, next) in [
        (0, 1, 0, "2026-10-25T03:00:00Z"),
        (5, 2, 1, "2026-10-26T03:00:00Z"),
        (24, 3, 2, "2026-10-27T03:00:00Z"),
        (7 * 24, 4, 3, "2026-11-03T03:00:00Z"),
        (1, 5, 3, "2026-11-03T03:00:00Z"),
    ] {
        shop.clock().advance(SignedDuration::from_hours(hours));
        let runners = [Running::start(&queue, &log), Running::start(&queue, &log)];
        let filter = JobFilter { name: None, status: Some(JobStatus::Waiting) };
        let due = awaited("the next jobs", async || {
            let open = queue.jobs(&filter, 10, None).await.unwrap().items;
            let due: Vec<_> = open.into_iter().map(|job| (job.name, job.due_at)).collect();
            (due.len() == 2 && due.iter().all(|(_, due_at)| *due_at > shop.now())).then_some(due)
        });
        let mut due = due.await;
        for runner in runners {
            runner.stop().await;
        }
        due.sort();
        let in_an_hour = shop.now() + SignedDuration::from_hours(1);
        let expected = [("daily".to_owned(), next.parse().unwrap()), ("hourly".to_owned(), in_an_hour)];
        assert_eq!(due, expected, "after {hours} hours");
        let runs = |name: &str| log.begun().iter().filter(|run| *run == name).count();
        assert_eq!((runs("hourly"), runs("daily")), (hourly, daily), "after {hours} hours");
    }
}
