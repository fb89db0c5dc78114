//! Jobs are run when they are due, by one process at a time, and end once.

mod clocks;
mod conflicts;
mod schedules;
mod stops;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use undercroft::domain::ids::JobId;
use undercroft::domain::job::{Job, JobStatus};
use undercroft::infrastructure::events::jobs::{JobQueue, JobRun, JobRunner, JobType};
use undercroft::infrastructure::exceptions::{Failure, RejectedRequest, Technical};
use undercroft::infrastructure::repositories::{Database, DatabaseError, JobRelease, JobRepository};

use crate::support::store::{execute, value};
use crate::support::{Shop, ShopOptions};

/// What the functions of the jobs have done.
#[derive(Default)]
struct Log {
    begun: Mutex<Vec<String>>,
    running: AtomicUsize,
    looks: AtomicUsize,
}

impl Log {
    fn begun(&self) -> Vec<String> {
        let mut begun = self.begun.lock().unwrap().clone();
        begun.sort_unstable();
        begun
    }
}

type Context = Arc<Log>;

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn record(log: Context, run: JobRun<Named>) -> Result<usize, Failure> {
    log.begun.lock().unwrap().push(run.arguments.name);
    Ok(0)
}

/// Runs until it is dropped.
async fn hold(log: Context, run: JobRun<Named>) -> Result<usize, Failure> {
    log.begun.lock().unwrap().push(run.arguments.name);
    log.running.fetch_add(1, Ordering::SeqCst);
    std::future::pending().await
}

async fn refuse(log: Context, run: JobRun<Named>) -> Result<usize, Failure> {
    log.begun.lock().unwrap().push(run.arguments.name);
    Err(Technical::internal("refused").into())
}

fn queue(database: &Database, job_type: JobType<Context>) -> JobQueue<Context> {
    JobQueue::new(database.clone(), [job_type])
}

fn named(name: &str) -> Value {
    json!({"name": name})
}

/// A runner in the background.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Running {
    fn start(queue: &JobQueue<Context>, log: &Context) -> Self {
        let stop = CancellationToken::new();
        let runner = JobRunner::new(queue.clone(), Arc::clone(log));
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { runner.run(&stop).await }
        });
        Self { stop, task }
    }

    /// Stops the runner; returns the number of jobs that it released.
    async fn stop(self) -> usize {
        self.stop.cancel();
        timeout(Duration::from_secs(30), self.task).await.expect("the runner ends").unwrap()
    }
}

/// Waits until a job fulfils a condition; returns it.
#[track_caller]
fn until(
    queue: &JobQueue<Context>,
    id: JobId,
    condition: impl Fn(&Job) -> bool,
) -> impl Future<Output = Job> {
    let (queue, caller) = (queue.clone(), std::panic::Location::caller());
    async move {
        for _ in 0..1200 {
            let job = queue.job(id).await.unwrap();
            if condition(&job) {
                return job;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?} ({caller})", queue.job(id).await.unwrap());
    }
}

/// Waits until so many jobs fulfil a condition.
#[track_caller]
fn until_count<'a>(
    database: &'a Database,
    condition: &'a str,
    expected: i64,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..1200 {
            if count(database, condition).await == expected {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("not {expected}: {condition} ({caller})");
    }
}

async fn count(database: &Database, condition: &str) -> i64 {
    value(database, &format!("SELECT COUNT(*) FROM jobs WHERE {condition}"), &[]).await
}

/// Takes the lease of a due job, as a process that ends without releasing it.
async fn lease(database: &Database, id: JobId) -> Job {
    let leased: Result<Option<Job>, DatabaseError> =
        database.write(id, async |work, id| JobRepository::lease(work, *id).await).await;
    leased.unwrap().expect("the job is due")
}

on_both_engines!(of_jobs_with_the_same_arguments_one_is_open);
async fn of_jobs_with_the_same_arguments_one_is_open(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    let mut created = Vec::new();
    for number in 0..20 {
        let queue = queue.clone();
        created.push(tokio::spawn(async move {
            let name = format!("{}", number % 2);
            queue.run("record", named(&name), None).await.unwrap().id
        }));
    }
    for task in created {
        task.await.unwrap();
    }
    assert_eq!(count(&shop.database, "ended_at IS NULL").await, 2);

    let log = Context::default();
    let runner = Running::start(&queue, &log);
    let job = queue.run("record", named("0"), None).await.unwrap();
    until(&queue, job.id, |job| job.status == JobStatus::Succeeded).await;
    runner.stop().await;
    // one that has ended makes way
    let next = queue.run("record", named("0"), None).await.unwrap();
    assert_ne!(next.id, job.id);
}

on_both_engines!(invalid_names_and_arguments_are_refused);
async fn invalid_names_and_arguments_are_refused(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    for (name, arguments) in [("other", json!({})), ("record", json!({})), ("record", json!([1]))] {
        let failure = queue.run(name, arguments, None).await.unwrap_err();
        assert_eq!(failure.code(), "validation");
    }
    assert_eq!(count(&shop.database, "TRUE").await, 0);
}

on_both_engines!(due_jobs_are_ordered_by_priority_and_time, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn due_jobs_are_ordered_by_priority_and_time(shop: &Shop) {
    let types = [JobType::new("low", record), JobType::new("high", record).priority(5)];
    let queue = JobQueue::new(shop.database.clone(), types);
    let now = shop.now();
    for (name, argument, wait) in
        [("low", "b", -5), ("low", "a", -10), ("high", "d", -1), ("high", "c", -2), ("high", "e", 60)]
    {
        let due_at = now.checked_add(SignedDuration::from_secs(wait)).unwrap();
        queue.run(name, named(argument), Some(due_at)).await.unwrap();
    }
    let mut connection = shop.database.read().await.unwrap();
    let due = JobRepository(&mut connection).due(&["low", "high"], now, 10).await.unwrap();
    let order: Vec<_> = due.iter().map(|job| job.arguments["name"].as_str().unwrap()).collect();
    assert_eq!(order, ["c", "d", "a", "b"]);
    let due = JobRepository(&mut connection).due(&["low"], now, 10).await.unwrap();
    assert_eq!(due.len(), 2, "jobs of types that a process does not know are left to others");
}

on_both_engines!(several_processes_run_each_job_once);
async fn several_processes_run_each_job_once(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    let mut expected: Vec<_> = (0..60).map(|number| format!("job {number}")).collect();
    for name in &expected {
        queue.run("record", named(name), None).await.unwrap();
    }
    let log = Context::default();
    let runners: Vec<_> = (0..4).map(|_| Running::start(&queue, &log)).collect();
    until_count(&shop.database, "status = 'succeeded'", 60).await;
    for runner in runners {
        assert_eq!(runner.stop().await, 0);
    }
    expected.sort_unstable();
    assert_eq!(log.begun(), expected);
    assert_eq!(count(&shop.database, "attempts = 1").await, 60);
}

on_both_engines!(a_job_that_fails_is_retried_and_then_reported);
async fn a_job_that_fails_is_retried_and_then_reported(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("refuse", refuse).max_attempts(2));
    let job = queue.run("refuse", named("r"), None).await.unwrap();
    let log = Context::default();
    let runner = Running::start(&queue, &log);
    let retried = until(&queue, job.id, |job| job.attempts == 1 && job.error.is_some()).await;
    assert_eq!(retried.status, JobStatus::Waiting);
    assert!(retried.due_at > retried.started_at.unwrap());
    let failed = until(&queue, job.id, |job| job.ended_at.is_some()).await;
    runner.stop().await;
    assert_eq!((failed.status, failed.attempts), (JobStatus::Failed, 2));
    assert!(failed.error.unwrap().contains("refused"));
    assert_eq!(log.begun().len(), 2);
    let event = "SELECT COUNT(*) FROM outbox WHERE type = 'background_job_completed'";
    assert_eq!(value::<i64>(&shop.database, event, &[]).await, 1);
}

on_both_engines!(a_retryable_failure_is_no_attempt_and_a_panic_is_one);
async fn a_retryable_failure_is_no_attempt_and_a_panic_is_one(shop: &Shop) {
    let later = JobType::new("later", async |log: Context, run: JobRun<Named>| {
        record(log, run).await?;
        Err(RejectedRequest::TooManyAtOnce.into())
    });
    let panics = JobType::new("panics", async |_: Context, _: JobRun<Named>| panic!("a fault"));
    let queue = JobQueue::new(shop.database.clone(), [later.max_attempts(1), panics.max_attempts(1)]);
    let retryable = queue.run("later", named("l"), None).await.unwrap();
    let panicking = queue.run("panics", named("p"), None).await.unwrap();
    let log = Context::default();
    let runner = Running::start(&queue, &log);
    let failed = until(&queue, panicking.id, |job| job.ended_at.is_some()).await;
    assert_eq!((failed.status, failed.attempts), (JobStatus::Failed, 1));
    let waiting = until(&queue, retryable.id, |job| job.failures >= 2).await;
    runner.stop().await;
    assert_eq!(waiting.attempts, 0);
    assert!(log.begun().len() >= 2);
}

on_both_engines!(a_cancelled_job_ends_whether_it_waits_or_runs);
async fn a_cancelled_job_ends_whether_it_waits_or_runs(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("hold", hold));
    let log = Context::default();
    let waiting = queue.run("hold", named("waits"), None).await.unwrap();
    assert_eq!(queue.cancel(waiting.id).await.unwrap().status, JobStatus::Cancelled);
    let failure = queue.cancel(waiting.id).await.unwrap_err();
    assert_eq!(failure.code(), "forbidden_transition");

    let running = queue.run("hold", named("runs"), None).await.unwrap();
    let runner = Running::start(&queue, &log);
    until(&queue, running.id, |job| job.status == JobStatus::Running).await;
    let requested = queue.cancel(running.id).await.unwrap();
    assert!(requested.cancel_requested && requested.status == JobStatus::Running);
    let cancelled = until(&queue, running.id, |job| job.ended_at.is_some()).await;
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    runner.stop().await;
    assert_eq!(log.begun(), ["runs"]);
}

on_both_engines!(what_a_process_writes_after_another_took_over_is_refused);
async fn what_a_process_writes_after_another_took_over_is_refused(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("record", record));
    let id = queue.run("record", named("r"), None).await.unwrap().id;
    let first = lease(&shop.database, id).await;
    let taken: Result<_, DatabaseError> = shop
        .database
        .write(first.clone(), async |work, first| {
            let seen = Job { renewals: first.renewals + 1, ..first.clone() };
            assert_eq!(JobRepository::take_over(work, &seen).await?, None, "it was renewed meanwhile");
            let second = JobRepository::take_over(work, first).await?.unwrap();
            assert_eq!(JobRepository::renew(work, first, 3).await?, None);
            let end = JobRelease {
                status: JobStatus::Succeeded,
                due_at: first.due_at,
                attempts: 1,
                failures: 0,
                processed: 3,
                error: None,
            };
            assert!(!JobRepository::release(work, first, &end).await?);
            assert_eq!(JobRepository::renew(work, &second, 2).await?, Some(false));
            Ok(second)
        })
        .await;
    assert_eq!(taken.unwrap().attempts, 2);
    assert_eq!(queue.job(id).await.unwrap().processed, 2);
}

on_both_engines!(a_job_of_a_dead_process_is_taken_over_and_one_that_lives_is_not);
async fn a_job_of_a_dead_process_is_taken_over_and_one_that_lives_is_not(shop: &Shop) {
    let (first, second) = (Context::default(), Context::default());
    let one = queue(&shop.database, JobType::new("hold", hold));
    let living = one.run("hold", named("living"), None).await.unwrap();
    let owner = Running::start(&one, &first);
    until(&one, living.id, |job| job.status == JobStatus::Running).await;

    let types = [JobType::new("hold", hold), JobType::new("record", record)];
    let all = JobQueue::new(shop.database.clone(), types);
    let mut dead = Vec::new();
    for name in ["dead", "crashes", "cancelled"] {
        let job = all.run("record", named(name), None).await.unwrap();
        dead.push(lease(&shop.database, job.id).await);
    }
    execute(
        &shop.database,
        &["UPDATE jobs SET attempts = 8 WHERE id IN (SELECT id FROM jobs WHERE name = 'record' AND unique_key LIKE '%crashes%')"],
    )
    .await;
    all.cancel(dead[2].id).await.unwrap();
    let other = Running::start(&all, &second);
    let taken = until(&all, dead[0].id, |job| job.ended_at.is_some()).await;
    assert_eq!((taken.status, taken.attempts), (JobStatus::Succeeded, 2));
    let crashed = until(&all, dead[1].id, |job| job.ended_at.is_some()).await;
    assert_eq!(crashed.status, JobStatus::Failed);
    assert!(crashed.error.unwrap().contains("ended each time"));
    let cancelled = until(&all, dead[2].id, |job| job.ended_at.is_some()).await;
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    assert_eq!(second.begun(), ["dead"]);

    let renewed = until(&all, living.id, |job| job.renewals >= 4).await;
    assert_eq!((renewed.attempts, renewed.status), (1, JobStatus::Running));
    assert_eq!(second.running.load(Ordering::SeqCst), 0, "the lease was renewed");
    other.stop().await;
    assert_eq!(owner.stop().await, 1);
}

on_both_engines!(a_request_to_cancel_survives_a_failure_and_a_stop);
async fn a_request_to_cancel_survives_a_failure_and_a_stop(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("hold", hold));
    let log = Context::default();
    let job = queue.run("hold", named("h"), None).await.unwrap();
    let runner = Running::start(&queue, &log);
    until(&queue, job.id, |job| job.status == JobStatus::Running).await;
    queue.cancel(job.id).await.unwrap();
    runner.stop().await;
    assert_eq!(queue.job(job.id).await.unwrap().status, JobStatus::Cancelled);
}

on_both_engines!(a_function_that_panics_at_once_does_not_stop_its_type);
async fn a_function_that_panics_at_once_does_not_stop_its_type(shop: &Shop) {
    #[expect(clippy::needless_pass_by_value, reason = "the function of a job owns its context")]
    fn panics(log: Context, run: JobRun<Named>) -> std::future::Ready<Result<usize, Failure>> {
        let name = run.arguments.name;
        assert!(!name.starts_with("bad"), "a fault before the future");
        log.begun.lock().unwrap().push(name);
        std::future::ready(Ok(0))
    }
    let queue = queue(&shop.database, JobType::new("panics", panics).max_attempts(1));
    for number in 0..6 {
        queue.run("panics", named(&format!("bad {number}")), None).await.unwrap();
    }
    let good = queue.run("panics", named("good"), None).await.unwrap();
    let log = Context::default();
    let runner = Running::start(&queue, &log);
    until(&queue, good.id, |job| job.status == JobStatus::Succeeded).await;
    until_count(&shop.database, "status = 'failed'", 6).await;
    runner.stop().await;
}

on_both_engines!(a_stop_releases_running_jobs_for_the_next_process);
async fn a_stop_releases_running_jobs_for_the_next_process(shop: &Shop) {
    let queue = queue(&shop.database, JobType::new("hold", hold));
    let log = Context::default();
    let job = queue.run("hold", named("h"), None).await.unwrap();
    for begun in 1..=2 {
        let runner = Running::start(&queue, &log);
        // a job is claimed before its function runs
        until(&queue, job.id, |job| job.status == JobStatus::Running && log.begun().len() == begun).await;
        assert_eq!(runner.stop().await, 1);
        let released = queue.job(job.id).await.unwrap();
        assert_eq!((released.status, released.attempts, released.lease), (JobStatus::Waiting, 0, None));
    }
    assert_eq!(log.begun().len(), 2);
}
