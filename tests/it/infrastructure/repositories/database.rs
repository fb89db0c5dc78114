//! The mechanism of the repositories: sessions, units of work, group commit.

use std::sync::Arc;

use undercroft::domain::context::Context;
use undercroft::domain::events::StockDepleted;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Param, Setup, scalar};

use crate::support::on_each_engine;

async fn counter(database: &Database, name: &str) -> Option<i64> {
    let mut session = database.read().await.unwrap();
    session.first("SELECT value FROM counters WHERE name = $1", &[Param::from(name)], scalar).await.unwrap()
}

async fn events(database: &Database) -> i64 {
    let mut session = database.read().await.unwrap();
    session.one("SELECT COUNT(*) FROM outbox", &[], scalar).await.unwrap()
}

/// Counts up and publishes, then fails if it is told to.
async fn count_up(database: &Database, name: &'static str, fail: bool) -> Result<i64, DatabaseError> {
    database
        .write_boxed(move |work| {
            Box::pin(async move {
                let value = work
                    .one(
                        "INSERT INTO counters (name, value) VALUES ($1, 1) \
                         ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
                        &[Param::from(name)],
                        scalar,
                    )
                    .await?;
                work.publish(&StockDepleted { variant_id: VariantId(work.id()) }).await?;
                if fail { Err(DatabaseError::Stale { table: "counters" }) } else { Ok(value) }
            })
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_leaves_neither_state_nor_event() {
    on_each_engine(|test| async move {
        assert_eq!(count_up(&test.database, "a", false).await.unwrap(), 1);
        assert!(matches!(count_up(&test.database, "a", true).await, Err(DatabaseError::Stale { .. })));
        assert_eq!(counter(&test.database, "a").await, Some(1));
        assert_eq!(events(&test.database).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_share_a_commit_do_not_share_a_fate() {
    on_each_engine(|test| async move {
        let units = (0..100).map(|i| {
            let test = Arc::clone(&test);
            tokio::spawn(async move { count_up(&test.database, "b", i % 3 == 0).await.is_ok() })
        });
        let mut kept = 0;
        for unit in units.collect::<Vec<_>>() {
            kept += i64::from(unit.await.unwrap());
        }
        assert_eq!(kept, 66);
        assert_eq!(counter(&test.database, "b").await, Some(66));
        assert_eq!(events(&test.database).await, 66);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_the_database_is_told_by_its_name() {
    on_each_engine(|test| async move {
        let outcome: Result<u64, DatabaseError> = test
            .database
            .write_boxed(|work| {
                Box::pin(async move {
                    let sql = "INSERT INTO counters (name, value) VALUES ('c', 0), ('c', 1)";
                    work.execute(sql, &[]).await
                })
            })
            .await;
        assert!(matches!(outcome, Err(DatabaseError::Taken { .. })), "{outcome:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_panics_or_awaits_is_an_error_and_the_writer_lives() {
    on_each_engine(|test| async move {
        if test.url.starts_with("sqlite:") {
            let panicked: Result<(), DatabaseError> =
                test.database.write_boxed(|_| Box::pin(async { panic!("on purpose") })).await;
            assert!(matches!(panicked, Err(DatabaseError::Internal(_))));
            let waited: Result<(), DatabaseError> = test
                .database
                .write_boxed(|_| {
                    Box::pin(async {
                        let _: () = tokio::task::yield_now().await;
                        Ok(())
                    })
                })
                .await;
            assert!(matches!(waited, Err(DatabaseError::Internal(_))));
        }
        assert_eq!(count_up(&test.database, "d", false).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_twice_changes_nothing_and_keeps_the_secret() {
    on_each_engine(|test| async move {
        let again = Database::open(&test.url, Context::system(), Setup::IfEmpty).await.unwrap();
        assert_eq!(again.cursor_key().sign("x", b"y"), test.database.cursor_key().sign("x", b"y"));
        assert_eq!(count_up(&again, "e", false).await.unwrap(), 1);
        assert_eq!(count_up(&test.database, "e", false).await.unwrap(), 2);
    })
    .await;
}
