//! Lost connections and processes that end at a certain time.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::copy::{CopyError, CopyObserver, CopyStep};
use undercroft::infrastructure::repositories::replication::{
    Goal, Outcome, ReplicationError, ReplicationObserver, Round, replicate,
};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, NotLive, Role};

use super::super::copy::Target;
use super::{
    Running, Watch, is_busy, open, other, run, stop, through_proxy, unchecked, verified,
    write_until_committed,
};
use crate::support::orders::Sale;
use crate::support::store::{execute, value};
use crate::support::{FaultyProxy, Line, Proxy, Shop, ShopOptions, eventually};

/// Counts in a product until the store has moved; returns the number of committed changes.
async fn count_until_moved(database: Database) -> i64 {
    let mut committed = 0;
    loop {
        let counted: Result<u64, DatabaseError> = database
            .write((), async |work, ()| {
                work.execute("UPDATE products SET rating_sum = rating_sum + 1", &[]).await
            })
            .await;
        match counted {
            Ok(_) => committed += 1,
            Err(DatabaseError::NotLive(NotLive::Moved)) => return committed,
            Err(error) => panic!("{error}"),
        }
    }
}

on_both_engines!(a_hand_over_that_ends_between_both_commits_is_completed_by_the_next, unchecked());
async fn a_hand_over_that_ends_between_both_commits_is_completed_by_the_next(shop: &Shop) {
    let Some(target) = Target::on(other(shop.database.engine())).await else { return };
    shop.product().create().await;
    verified(&shop.url, &target.url).await;
    let (proxy, from, to) = through_proxy(shop, &target).await;
    let source = shop.database.clone();
    proxy.refuse_when(move || {
        let source = source.clone();
        async move { source.role().await.unwrap() == Role::Moved }
    });
    let counting = tokio::spawn(count_until_moved(shop.database.clone()));
    let error = loop {
        let running = Running::begin(&from, &to, Goal::HandOver);
        let is_cut = async || running.interruptions.load(Ordering::SeqCst) > 0 || running.task.is_finished();
        eventually("an interruption", is_cut).await;
        running.stop.cancel();
        let error = running.failed().await;
        if !is_busy(&error) {
            break error;
        }
    };
    assert!(matches!(error, ReplicationError::Unfinished(_)), "{error}");

    let committed = counting.await.unwrap();
    let standby = open(&target.url).await;
    eventually("a standby", async || matches!(standby.role().await, Ok(Role::Standby))).await;
    let follow = run(&shop.url, &target.url, Goal::Follow, Watch::new()).await;
    assert!(matches!(follow, Err(ReplicationError::SourceHasMoved)), "{follow:?}");
    let moved = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await.unwrap();
    assert_eq!(moved, Outcome::HandedOver { tables: Vec::new(), stop: None });
    assert_eq!(standby.role().await.unwrap(), Role::Live);
    assert_eq!(shop.database.role().await.unwrap(), Role::Moved);
    assert_eq!(value::<i64>(&standby, "SELECT rating_sum FROM products", &[]).await, committed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_locks_of_a_hand_over_end_if_the_network_fails() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let Some(target) = Target::on(Engine::Postgres).await else { return };
    shop.run(async |shop| lose_network(shop, &target).await).await;
}

/// Loses the connection to the target while a hand-over waits for a writer of its source.
async fn lose_network(shop: &Shop, target: &Target) {
    shop.product().create().await;
    verified(&shop.url, &target.url).await;
    let standby = open(&target.url).await;
    let (proxy, to) = Proxy::before(&target.url).await.unwrap();
    let (writing, complete) = write_until_committed(&shop.database, "UPDATE products SET name = 'x'").await;
    let running = Running::begin(&shop.url, &to, Goal::HandOver);
    let locks = "SELECT COUNT(*) FROM pg_locks \
                 WHERE mode = 'AccessExclusiveLock' AND granted AND relation = to_regclass('orders')";
    eventually("the locks", async || value::<i64>(&standby, locks, &[]).await > 0).await;
    proxy.set(Line::Silent);
    eventually("the end of the locks", async || value::<i64>(&standby, locks, &[]).await == 0).await;

    complete.cancel();
    writing.await.unwrap().unwrap();
    running.stop.cancel();
    proxy.set(Line::Cut);
    let error = running.failed().await;
    assert!(
        matches!(error, ReplicationError::Copy(CopyError::Stopped) | ReplicationError::WritesNotHeld(_)),
        "{error}"
    );
    verified(&shop.url, &target.url).await;
    stop(&shop.url).await;
}

on_both_engines!(a_replication_waits_for_the_commit_of_its_lost_connection);
async fn a_replication_waits_for_the_commit_of_its_lost_connection(shop: &Shop) {
    let Some(target) = Target::on(Engine::Postgres).await else { return };
    shop.product().create().await;
    verified(&shop.url, &target.url).await;
    let slow_commit = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ \
                       BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$; \
                       CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON products DEFERRABLE INITIALLY DEFERRED \
                       FOR EACH ROW EXECUTE FUNCTION slow()";
    target.script(slow_commit).await;
    let standby = open(&target.url).await;
    let (proxy, to) = FaultyProxy::before(&target.url).await;
    let mut running = Running::start(&shop.url, &to).await;
    execute(&shop.database, &["UPDATE products SET description = 'changed'"]).await;
    let committing = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                      AND application_name = current_setting('application_name')";
    eventually("a slow commit", async || value::<i64>(&standby, committing, &[]).await > 0).await;
    proxy.refuse("57P03");
    proxy.let_in();
    running.rounds(3).await;
    running.stop().await;
    let changed = "SELECT COUNT(*) FROM products WHERE description = 'changed'";
    assert_eq!(value::<i64>(&standby, changed, &[]).await, 1);
    target.script("DROP FUNCTION slow CASCADE").await;
    assert_eq!(value::<i64>(&standby, changed, &[]).await, 1);
    stop(&shop.url).await;
}

/// Begins another replication of the same databases once rows were copied, which is stopped at once. No rows may be
/// copied after it.
struct TakenOver {
    by: Option<(String, String)>,
    rows: i64,
}

impl CopyObserver for TakenOver {
    fn progressed(&mut self, _: CopyStep, rows: i64, _: Option<i64>) -> ControlFlow<()> {
        if self.by.is_none() {
            assert_eq!(rows, self.rows, "rows were copied after another process has taken over");
        }
        if rows > 0
            && let Some((from, to)) = self.by.take()
        {
            self.rows = rows;
            let other = std::thread::spawn(move || {
                let outcome = replicate_stopped(&from, &to);
                tokio::runtime::Runtime::new().unwrap().block_on(outcome)
            });
            let error = other.join().unwrap();
            assert!(matches!(error, ReplicationError::Copy(CopyError::Stopped)), "{error}");
        }
        ControlFlow::Continue(())
    }
}

impl ReplicationObserver for TakenOver {
    fn applied(&mut self, _: &Round) {}

    fn interrupted(&mut self, _: &ReplicationError, _: Duration) {}
}

/// Ends a first copy at once.
struct Stopping;

impl CopyObserver for Stopping {
    fn progressed(&mut self, _: CopyStep, _: i64, _: Option<i64>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

impl ReplicationObserver for Stopping {
    fn applied(&mut self, _: &Round) {}

    fn interrupted(&mut self, _: &ReplicationError, _: Duration) {}
}

async fn replicate_stopped(from: &str, to: &str) -> ReplicationError {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let stop = CancellationToken::new();
    let outcome = replicate((&from, &to), Goal::Follow, Context::system(), &stop, &mut Stopping).await;
    outcome.unwrap_err()
}

on_both_engines!(a_first_copy_ends_when_another_process_takes_it_over);
async fn a_first_copy_ends_when_another_process_takes_it_over(shop: &Shop) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        Sale::begin(shop, 5, "tok_ok").await;
        let (from, to) = (shop.url.parse().unwrap(), target.url.parse().unwrap());
        let mut observer = TakenOver { by: Some((shop.url.clone(), target.url.clone())), rows: 0 };
        let stopped = CancellationToken::new();
        let copied = replicate((&from, &to), Goal::Verify, Context::system(), &stopped, &mut observer).await;
        assert!(matches!(copied, Err(ReplicationError::Copy(CopyError::WrittenMeanwhile(_)))), "{copied:?}");
        verified(&shop.url, &target.url).await;
        stop(&shop.url).await;
    }
}
