//! The mechanism of the repositories: sessions, units of work, group commit.

use undercroft::domain::context::Context;
use undercroft::domain::events::StockDepleted;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Param, Setup};

use crate::support::Shop;

async fn counter(database: &Database, name: &str) -> Option<i64> {
    let mut session = database.read().await.unwrap();
    session.first("SELECT value FROM counters WHERE name = $1", &[Param::from(name)]).await.unwrap()
}

async fn events(database: &Database) -> i64 {
    let mut session = database.read().await.unwrap();
    session.one("SELECT COUNT(*) FROM outbox", &[]).await.unwrap()
}

/// Counts up and publishes, then fails if it is told to.
async fn count_up(database: &Database, name: &'static str, fail: bool) -> Result<i64, DatabaseError> {
    database
        .write((name, fail), async |work, &(name, fail)| {
            let sql = "INSERT INTO counters (name, value) VALUES ($1, 1) \
                       ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
            let value = work.one(sql, &[Param::from(name)]).await?;
            work.publish(&StockDepleted { variant_id: VariantId(work.id()) }).await?;
            if fail { Err(DatabaseError::Stale { table: "counters" }) } else { Ok(value) }
        })
        .await
}

on_both_engines!(a_unit_that_fails_leaves_neither_state_nor_event);
async fn a_unit_that_fails_leaves_neither_state_nor_event(shop: &Shop) {
    assert_eq!(count_up(&shop.database, "a", false).await.unwrap(), 1);
    assert!(matches!(count_up(&shop.database, "a", true).await, Err(DatabaseError::Stale { .. })));
    assert_eq!(counter(&shop.database, "a").await, Some(1));
    assert_eq!(events(&shop.database).await, 1);
}

on_both_engines!(units_that_share_a_commit_fail_alone);
async fn units_that_share_a_commit_fail_alone(shop: &Shop) {
    let units = (0..100).map(|i| {
        let shop = shop.clone();
        tokio::spawn(async move { count_up(&shop.database, "b", i % 3 == 0).await.is_ok() })
    });
    let mut kept = 0;
    for unit in units.collect::<Vec<_>>() {
        kept += i64::from(unit.await.unwrap());
    }
    assert_eq!(kept, 66);
    assert_eq!(counter(&shop.database, "b").await, Some(66));
    assert_eq!(events(&shop.database).await, 66);
}

on_both_engines!(a_failed_constraint_is_reported_by_its_name);
async fn a_failed_constraint_is_reported_by_its_name(shop: &Shop) {
    let outcome: Result<u64, DatabaseError> = shop
        .database
        .write("INSERT INTO counters (name, value) VALUES ('c', 0), ('c', 1)", async |work, sql| {
            work.execute(sql, &[]).await
        })
        .await;
    assert!(matches!(outcome, Err(DatabaseError::Taken { .. })), "{outcome:?}");
}

on_both_engines!(a_unit_that_panics_or_awaits_is_an_error_and_the_writer_lives);
async fn a_unit_that_panics_or_awaits_is_an_error_and_the_writer_lives(shop: &Shop) {
    if shop.url.starts_with("sqlite:") {
        let panicked: Result<(), DatabaseError> =
            shop.database.write((), async |_, ()| panic!("on purpose")).await;
        assert!(matches!(panicked, Err(DatabaseError::Internal(_))));
        let waited: Result<(), DatabaseError> = shop
            .database
            .write((), async |_, ()| {
                tokio::task::yield_now().await;
                Ok(())
            })
            .await;
        assert!(matches!(waited, Err(DatabaseError::Internal(_))));
    }
    assert_eq!(count_up(&shop.database, "d", false).await.unwrap(), 1);
}

on_both_engines!(opening_twice_changes_nothing_and_keeps_the_secret);
async fn opening_twice_changes_nothing_and_keeps_the_secret(shop: &Shop) {
    let again = Database::open(&shop.url, Context::system(), Setup::IfEmpty).await.unwrap();
    assert_eq!(again.cursor_key().sign("x", b"y"), shop.database.cursor_key().sign("x", b"y"));
    assert_eq!(count_up(&again, "e", false).await.unwrap(), 1);
    assert_eq!(count_up(&shop.database, "e", false).await.unwrap(), 2);
}
