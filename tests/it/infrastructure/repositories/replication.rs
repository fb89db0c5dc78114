//! Replications of a store that is written to, between the engines.

mod caches;
mod end;
mod faults;
mod hand_over;
mod refusals;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use undercroft::application::consistency::check;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::copy::{CopyObserver, CopyStep, TableReport};
use undercroft::infrastructure::repositories::replication::{
    Goal, Outcome, ReplicationError, ReplicationObserver, Round, replicate,
};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, Setup, copy, replication};

use super::copy::{Target, fill, tables_of_the_migrations};
use crate::support::import::{ONLINE_RETAIL, import_all};
use crate::support::orders::Sale;
use crate::support::store::{execute, value, write_until_committed};
use crate::support::{FaultyProxy, Shop, ShopOptions, eventually};

/// The longest wait for an error.
const PATIENCE: Duration = Duration::from_mins(2);

/// Counts the rounds, and panics after some pages of the first copy, as if the process was killed.
struct Watch {
    pages: i64,
    rounds: Arc<AtomicI64>,
    interruptions: Arc<AtomicI64>,
}

impl Watch {
    fn new() -> Self {
        Self { pages: i64::MAX, rounds: Arc::default(), interruptions: Arc::default() }
    }
}

impl CopyObserver for Watch {
    fn progressed(&mut self, step: CopyStep, _: i64, _: Option<i64>) -> ControlFlow<()> {
        self.pages -= i64::from(step == CopyStep::Copying);
        assert!(self.pages != 0, "the test stops the copy here");
        ControlFlow::Continue(())
    }
}

impl ReplicationObserver for Watch {
    fn applied(&mut self, _: &Round) {
        self.rounds.fetch_add(1, Ordering::SeqCst);
    }

    fn interrupted(&mut self, _: &ReplicationError, _: Duration) {
        self.interruptions.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a replication until its goal.
async fn run(from: &str, to: &str, goal: Goal, mut watch: Watch) -> Result<Outcome, ReplicationError> {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    replicate((&from, &to), goal, Context::system(), &CancellationToken::new(), &mut watch).await
}

/// Whether a hand-over has failed because the machine is busy: the source is written to as before.
fn is_busy(error: &ReplicationError) -> bool {
    matches!(
        error,
        ReplicationError::TooSlow
            | ReplicationError::TooManyChanges
            | ReplicationError::TargetInUse(_)
            | ReplicationError::WritesNotHeld(_)
    )
}

/// Hands the store over, again and again on a busy machine.
async fn moved(from: &str, to: &str) -> Outcome {
    let mut attempts = 1;
    loop {
        match run(from, to, Goal::HandOver, Watch::new()).await {
            Err(error) if is_busy(&error) && attempts < 20 => attempts += 1,
            outcome => return outcome.unwrap(),
        }
    }
}

/// Makes both equal; returns their tables.
pub(super) async fn verified(from: &str, to: &str) -> Vec<TableReport> {
    match run(from, to, Goal::Verify, Watch::new()).await.unwrap() {
        Outcome::Verified(tables) => tables,
        other => panic!("{other:?}"),
    }
}

/// A replication in the background.
struct Running {
    task: JoinHandle<Result<Outcome, ReplicationError>>,
    stop: CancellationToken,
    rounds: Arc<AtomicI64>,
    interruptions: Arc<AtomicI64>,
}

impl Running {
    /// Starts a replication, and waits for its first round.
    async fn start(from: &str, to: &str) -> Self {
        let mut running = Self::begin(from, to, Goal::Follow);
        running.rounds(1).await;
        running
    }

    /// Starts a replication.
    fn begin(from: &str, to: &str, goal: Goal) -> Self {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let (stop, mut watch) = (CancellationToken::new(), Watch::new());
        let (rounds, interruptions) = (Arc::clone(&watch.rounds), Arc::clone(&watch.interruptions));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            replicate((&from, &to), goal, Context::system(), &stopped, &mut watch).await
        });
        Self { task, stop, rounds, interruptions }
    }

    /// Waits for some further rounds.
    async fn rounds(&mut self, further: i64) {
        let until = self.rounds.load(Ordering::SeqCst) + further;
        let done = async || self.rounds.load(Ordering::SeqCst) >= until || self.task.is_finished();
        eventually("further rounds", done).await;
        assert!(!self.task.is_finished(), "the replication has ended: {:?}", (&mut self.task).await);
    }

    async fn stop(self) {
        self.stop.cancel();
        assert_eq!(self.task.await.unwrap().unwrap(), Outcome::Stopped);
    }

    /// Waits for the error with which it ends.
    async fn failed(self) -> ReplicationError {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("the error in time");
        ended.unwrap().unwrap_err()
    }
}

/// Returns a proxy in front of the database that is on PostgreSQL, and the URLs of source and target through it.
async fn through_proxy(shop: &Shop, target: &Target) -> (FaultyProxy, String, String) {
    match shop.database.engine() {
        Engine::Postgres => {
            let (proxy, from) = FaultyProxy::before(&shop.url).await;
            (proxy, from, target.url.clone())
        }
        Engine::Sqlite => {
            let (proxy, to) = FaultyProxy::before(&target.url).await;
            (proxy, shop.url.clone(), to)
        }
    }
}

/// Opens a standby for reading.
async fn open(url: &str) -> Database {
    Database::open(&url.parse().unwrap(), Context::system(), Setup::ReadOnly).await.unwrap()
}

fn other(engine: Engine) -> Engine {
    if engine == Engine::Sqlite { Engine::Postgres } else { Engine::Sqlite }
}

on_both_engines!(every_change_of_every_table_is_replicated);
async fn every_change_of_every_table_is_replicated(shop: &Shop) {
    for engine in [other(shop.database.engine()), shop.database.engine()] {
        let Some(target) = Target::on(engine).await else { return };
        if engine == shop.database.engine() {
            // the first copy, of all rows
            assert_eq!(verified(&shop.url, &target.url).await, all_tables(shop).await);
            stop(&shop.url).await;
            continue;
        }
        // the first copy has nearly no rows; all come as changes
        let mut running = Running::start(&shop.url, &target.url).await;
        Box::pin(fill(shop)).await;
        let tables = all_tables(shop).await;
        let names: BTreeSet<_> = tables.iter().map(|table| table.name.clone()).collect();
        assert_eq!(names, tables_of_the_migrations());
        let empty: Vec<_> = tables.iter().filter(|table| table.rows == 0).map(|table| &table.name).collect();
        assert_eq!(empty, [""; 0], "the test changes rows of every table");
        running.rounds(2).await;
        running.stop().await;
        assert_eq!(verified(&shop.url, &target.url).await, tables);

        // keys that change, unique values that pass from row to row, removed rows, also those of cascades
        execute(
            &shop.database,
            &[
                "UPDATE event_cursors SET subscriber = 'another' WHERE subscriber = 'none'",
                "UPDATE products SET slug = slug || '-x'",
                "UPDATE categories SET slug = 'a-' || slug",
                "UPDATE users SET email_key = 'x' || email_key, erased_at = created_at",
                "DELETE FROM dead_letters",
                "DELETE FROM webhook_endpoints",
                "DELETE FROM carts WHERE status = 'open'",
            ],
        )
        .await;
        swap_slugs(shop).await;
        assert_eq!(verified(&shop.url, &target.url).await, all_tables(shop).await);
        let standby = open(&target.url).await;
        assert_eq!(value::<i64>(&standby, "SELECT COUNT(*) FROM webhook_deliveries", &[]).await, 0);
        assert_eq!(check(&standby, false).await.unwrap(), []);
        stop(&shop.url).await;
    }
}

/// Swaps the slugs of two products, which are unique.
async fn swap_slugs(shop: &Shop) {
    let sql = "SELECT slug FROM products ORDER BY slug LIMIT 2";
    let two: Vec<String> = shop.database.read().await.unwrap().all(sql, &[]).await.unwrap();
    let swapped: Result<(), DatabaseError> = shop
        .database
        .write(two, async |work, two| {
            for (from, to) in [(&*two[0], "between"), (&two[1], &two[0]), ("between", &two[1])] {
                let sql = "UPDATE products SET slug = $1 WHERE slug = $2";
                assert_eq!(work.execute(sql, &[to.into(), from.into()]).await?, 1);
            }
            Ok(())
        })
        .await;
    swapped.unwrap();
}

/// The tables of a shop, hashed by a copy of it.
async fn all_tables(shop: &Shop) -> Vec<TableReport> {
    let target =
        Target::on(other(shop.database.engine())).await.expect("PostgreSQL, which the test has used");
    let (from, to) = (shop.url.parse().unwrap(), target.url.parse().unwrap());
    let report = copy::copy(&from, &to, Context::system(), &mut Watch::new()).await.unwrap();
    assert_eq!(report.not_copied, [""; 0], "a copy ignores the tables of a replication");
    report.tables
}

async fn stop(url: &str) {
    replication::stop(&url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_first_copy_that_was_killed_continues_though_the_store_has_changed);
async fn a_first_copy_that_was_killed_continues_though_the_store_has_changed(shop: &Shop) {
    import_all(&shop.store, ONLINE_RETAIL).await;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        for (pages, change) in [
            (15, "UPDATE users SET name = name || '.'"),
            (30, "DELETE FROM product_words WHERE word < 'd'"),
            (45, "UPDATE products SET slug = slug || '.', description = 'changed'"),
        ] {
            let (from, to) = (shop.url.clone(), target.url.clone());
            let watch = Watch { pages, ..Watch::new() };
            let killed = tokio::spawn(async move { run(&from, &to, Goal::Follow, watch).await });
            assert!(killed.await.is_err(), "the first copy was not killed");
            let refused = target.open().await.unwrap_err().to_string();
            assert!(refused.contains("undercroft replicate"), "{refused}");
            let changed: Result<(), DatabaseError> =
                shop.database.write(change, async |work, change| work.script(change).await).await;
            changed.unwrap();
            Sale::begin(shop, 5, "tok_ok").await;
        }
        assert_eq!(verified(&shop.url, &target.url).await, all_tables(shop).await);
        stop(&shop.url).await;
    }
}

on_both_engines!(a_replication_continues_after_a_kill_at_any_time_under_concurrent_writers);
async fn a_replication_continues_after_a_kill_at_any_time_under_concurrent_writers(shop: &Shop) {
    let Some(target) = Target::on(other(shop.database.engine())).await else { return };
    let variant = shop.product().stock(10_000).create().await;
    let done = CancellationToken::new();
    let writers: Vec<_> = (0..6)
        .map(|_| {
            let (shop, done) = (shop.clone(), done.clone());
            tokio::spawn(async move {
                while !done.is_cancelled() {
                    Sale::of(&shop.store, variant, "tok_ok").await;
                }
            })
        })
        .collect();
    for milliseconds in [3, 10, 30, 60, 100, 200, 400, 800] {
        let (from, to) = (shop.url.clone(), target.url.clone());
        let run = tokio::spawn(async move { run(&from, &to, Goal::Follow, Watch::new()).await });
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        run.abort();
        let ended = run.await;
        assert!(ended.as_ref().is_err_and(tokio::task::JoinError::is_cancelled), "{ended:?}");
    }
    verified(&shop.url, &target.url).await;
    done.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(verified(&shop.url, &target.url).await, all_tables(shop).await);
}

on_both_engines!(a_replication_waits_for_a_postgres_that_is_away);
async fn a_replication_waits_for_a_postgres_that_is_away(shop: &Shop) {
    let Some(target) = Target::on(other(shop.database.engine())).await else { return };
    let of_source = shop.database.engine() == Engine::Postgres;
    let (proxy, from, to) = through_proxy(shop, &target).await;
    let mut running = Running::start(&from, &to).await;
    for away in 1..3 {
        proxy.refuse("57P03");
        let interrupted = async || running.interruptions.load(Ordering::SeqCst) >= away;
        eventually("an interruption", interrupted).await;
        Sale::begin(shop, 5, "tok_ok").await;
        proxy.let_in();
        running.rounds(3).await;
        // the response to a commit of the target, or to a statement of the source, is lost
        proxy.lose_response_to(if of_source { "row_changes" } else { "COMMIT" });
        Sale::begin(shop, 5, "tok_ok").await;
        running.rounds(3).await;
        let standby = open(&target.url).await;
        let orders = async || value::<i64>(&standby, "SELECT COUNT(*) FROM orders", &[]).await;
        eventually("all orders at the standby", async || orders().await == 2 * away).await;
    }
    running.stop().await;
    assert_eq!(verified(&shop.url, &target.url).await, all_tables(shop).await);
}

fn unchecked() -> ShopOptions {
    ShopOptions::default().unchecked("the store moves to another database")
}
