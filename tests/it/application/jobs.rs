//! The worker runs all due work at its start, and each job by its schedule.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use undercroft::application::jobs::worker::{run_jobs, work};
use undercroft::application::jobs::{Job, JobContext, Schedule, subscribers};
use undercroft::domain::user::Session;
use undercroft::infrastructure::events::EventDispatcher;
use undercroft::infrastructure::exceptions::{Conflict, Failure};
use undercroft::infrastructure::repositories::DatabaseError;

use crate::support::Shop;
use crate::support::orders::Sale;
use crate::support::store::value;

/// Works until a count is 0.
async fn work_until_none(shop: &Shop, count: &str) {
    let stop = CancellationToken::new();
    let working = tokio::spawn(work(shop.store.clone(), stop.clone()));
    for _ in 0..600 {
        if value::<i64>(&shop.database, count, &[]).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(value::<i64>(&shop.database, count, &[]).await, 0);
    stop.cancel();
    working.await.unwrap();
}

on_both_engines!(all_open_payments_are_recovered_at_the_start);
async fn all_open_payments_are_recovered_at_the_start(shop: &Shop) {
    let variant = shop.product().price(1000).stock(300).create().await;
    for _ in 0..120 {
        Sale::of(&shop.store, variant, "tok_requires_action").await;
    }
    work_until_none(shop, "SELECT COUNT(*) FROM payments WHERE attempts = 0").await;
}

on_both_engines!(all_expired_sessions_are_deleted_at_the_start);
async fn all_expired_sessions_are_deleted_at_the_start(shop: &Shop) {
    let user_id = shop.customer().await;
    let inserted: Result<(), DatabaseError> = shop
        .database
        .write(user_id, async |work, &user_id| {
            let now = work.now();
            for number in 0..2_500_u32 {
                let token_hash = number.to_be_bytes().to_vec();
                work.insert(&Session { token_hash, user_id, created_at: now, expires_at: now }).await?;
            }
            Ok(())
        })
        .await;
    inserted.unwrap();
    work_until_none(shop, "SELECT COUNT(*) FROM sessions").await;
}

fn context(shop: &Shop) -> JobContext {
    let dispatcher = EventDispatcher::new(shop.database.clone(), subscribers());
    JobContext { store: shop.store.clone(), dispatcher }
}

const SOON: Schedule = Schedule::Every(Duration::from_millis(1));

on_both_engines!(a_job_that_fails_does_not_stop_the_others);
async fn a_job_that_fails_does_not_stop_the_others(shop: &Shop) {
    let failed = Arc::new(AtomicUsize::new(0));
    let (stop, count) = (CancellationToken::new(), Arc::clone(&failed));
    let fails = Job::new("fails", SOON, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err(Failure::from(Conflict::Stale)) }
    });
    let stops = {
        let stop = stop.clone();
        Job::new("stops", SOON, move |_| {
            if failed.load(Ordering::SeqCst) >= 3 {
                stop.cancel();
            }
            async { Ok(0) }
        })
    };
    // ends when the failing job has run three times and the other one after it
    run_jobs(&[fails, stops], &context(shop), &stop).await;
}

on_both_engines!(jobs_at_the_start_run_before_the_others);
async fn jobs_at_the_start_run_before_the_others(shop: &Shop) {
    let (stop, ran) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
    let job = |name, schedule, last: bool| {
        let (stop, ran) = (stop.clone(), Arc::clone(&ran));
        Job::new(name, schedule, move |_| {
            ran.lock().unwrap().push(name);
            if last {
                stop.cancel();
            }
            async { Ok(0) }
        })
    };
    let jobs = [
        job("periodic", SOON, true),
        job("first", Schedule::AtStart, false),
        job("second", Schedule::AtStart, false),
    ];
    run_jobs(&jobs, &context(shop), &stop).await;
    assert_eq!(*ran.lock().unwrap(), ["first", "second", "periodic"]);
}

on_both_engines!(a_job_runs_until_no_work_is_left_and_stops_between_batches);
async fn a_job_runs_until_no_work_is_left_and_stops_between_batches(shop: &Shop) {
    let left = Arc::new(AtomicUsize::new(5));
    let job = |stop: &CancellationToken, stop_at: usize| {
        let (stop, left) = (stop.clone(), Arc::clone(&left));
        // the interval is too long for a second run
        Job::new("counts down", Schedule::Every(Duration::from_hours(1)), move |_| {
            let before = left.load(Ordering::SeqCst);
            left.store(before.saturating_sub(1), Ordering::SeqCst);
            if before == stop_at {
                stop.cancel();
            }
            async move { Ok(before) }
        })
    };
    let stop = CancellationToken::new();
    run_jobs(&[job(&stop, 3)], &context(shop), &stop).await;
    assert_eq!(left.load(Ordering::SeqCst), 2, "it stopped with work left");

    let stop = CancellationToken::new();
    run_jobs(&[job(&stop, 0)], &context(shop), &stop).await;
    assert_eq!(left.load(Ordering::SeqCst), 0);
}
