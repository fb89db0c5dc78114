//! The mechanism of the repositories: connections, units of work, group commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use undercroft::domain::context::Context;
use undercroft::domain::events::StockDepleted;
use undercroft::domain::ids::{UserId, VariantId};
use undercroft::domain::user::{Role, User};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, Param, Setup, next_number};
use uuid::Uuid;

use crate::support::{Shop, ShopOptions};

async fn counter(database: &Database, name: &str) -> Option<i64> {
    let mut connection = database.read().await.unwrap();
    connection.first("SELECT value FROM counters WHERE name = $1", &[Param::from(name)]).await.unwrap()
}

async fn events(database: &Database) -> i64 {
    let mut connection = database.read().await.unwrap();
    connection.one("SELECT COUNT(*) FROM outbox", &[]).await.unwrap()
}

/// Increments a counter and publishes an event, then fails if `fail` is set.
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

on_both_engines!(what_is_read_for_a_provider_or_a_discount_has_an_index);
async fn what_is_read_for_a_provider_or_a_discount_has_an_index(shop: &Shop) {
    let definition = match shop.database.engine() {
        Engine::Sqlite => "SELECT sql FROM sqlite_master WHERE name = $1",
        Engine::Postgres => {
            "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND indexname = $1"
        }
    };
    let mut connection = shop.database.read().await.unwrap();
    for (index, columns) in [
        ("payments_due", "(next_attempt_at, provider)"),
        ("subscriptions_due", "(next_charge_at, provider)"),
        ("discount_uses_by_discount", "(discount_id)"),
        ("invoices_by_time", "(issued_at)"),
    ] {
        let sql: String = connection.one(definition, &[Param::from(index)]).await.unwrap();
        assert!(sql.contains(columns), "{sql}");
    }
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

on_both_engines!(a_unit_that_panics_or_awaits_fails_alone);
async fn a_unit_that_panics_or_awaits_fails_alone(shop: &Shop) {
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

on_both_engines!(opening_twice_changes_nothing_and_keeps_the_signing_key);
async fn opening_twice_changes_nothing_and_keeps_the_signing_key(shop: &Shop) {
    let again = Database::open(&shop.url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    assert_eq!(again.signing_key().sign("x", b"y"), shop.database.signing_key().sign("x", b"y"));
    assert_eq!(count_up(&again, "e", false).await.unwrap(), 1);
    assert_eq!(count_up(&shop.database, "e", false).await.unwrap(), 2);
}

/// Fails like a statement that PostgreSQL could not serialize.
const NOT_SERIALIZABLE: &str = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$";

on_both_engines!(a_rollback_to_a_savepoint_discards_statements_that_were_sent_ahead);
async fn a_rollback_to_a_savepoint_discards_statements_that_were_sent_ahead(shop: &Shop) {
    const READ: &str = "SELECT COALESCE(MAX(value), 0) FROM counters WHERE name = 'ahead'";
    let write = shop.database.write((), async |work, ()| {
        work.savepoint()?;
        work.send_ahead(READ, &[]);
        work.one::<i64>("SELECT CAST(1 AS BIGINT)", &[]).await?;
        work.rollback_to_savepoint().await?;
        work.execute("INSERT INTO counters (name, value) VALUES ('ahead', 7)", &[]).await?;
        work.one::<i64>(READ, &[]).await
    });
    let read: Result<i64, DatabaseError> = write.await;
    assert_eq!(read.unwrap(), 7);
}

on_both_engines!(a_rollback_to_a_savepoint_forgets_whose_data_was_written);
async fn a_rollback_to_a_savepoint_forgets_whose_data_was_written(shop: &Shop) {
    let write = shop.database.write((), async |work, ()| {
        work.savepoint()?;
        let id = UserId(Uuid::from_u128(7));
        let user = User::new(id, "ann@example.org".into(), "Ann".into(), Role::Customer, work.now());
        work.insert(&user).await?;
        work.rollback_to_savepoint().await
    });
    let written: Result<(), DatabaseError> = write.await;
    written.unwrap();
}

on_both_engines!(a_savepoint_as_the_last_statement_is_committed);
async fn a_savepoint_as_the_last_statement_is_committed(shop: &Shop) {
    let write = shop.database.write((), async |work, ()| {
        work.execute("INSERT INTO counters (name, value) VALUES ('last', 1)", &[]).await?;
        work.savepoint()
    });
    let written: Result<(), DatabaseError> = write.await;
    written.unwrap();
    assert_eq!(counter(&shop.database, "last").await, Some(1));
}

on_both_engines!(an_ignored_error_of_a_statement_fails_the_commit);
async fn an_ignored_error_of_a_statement_fails_the_commit(shop: &Shop) {
    let write = shop.database.write((), async |work, ()| {
        work.execute("INSERT INTO counters (name, value) VALUES ('ignored', 1)", &[]).await?;
        let _ = work.execute("INSERT INTO counters (name, value) VALUES ('ignored', 2)", &[]).await;
        Ok(())
    });
    let written: Result<(), DatabaseError> = write.await;
    // SQLite rolls back the failed statement alone
    let stored = counter(&shop.database, "ignored").await;
    assert_eq!(written.is_ok(), stored == Some(1), "{written:?} {stored:?}");
}

on_both_engines!(a_committed_transaction_is_not_run_again);
async fn a_committed_transaction_is_not_run_again(shop: &Shop) {
    if shop.url.starts_with("sqlite:") {
        return;
    }
    let runs = Arc::new(AtomicU32::new(0));
    let write = shop.database.write(Arc::clone(&runs), async |work, runs| {
        runs.fetch_add(1, Ordering::SeqCst);
        work.savepoint()?;
        assert!(work.script(NOT_SERIALIZABLE).await.is_err());
        work.rollback_to_savepoint().await
    });
    let written: Result<(), DatabaseError> = write.await;
    written.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

on_both_engines!(a_retryable_transaction_is_run_again);
async fn a_retryable_transaction_is_run_again(shop: &Shop) {
    if shop.url.starts_with("sqlite:") {
        return;
    }
    let runs = Arc::new(AtomicU32::new(0));
    let write = shop.database.write(Arc::clone(&runs), async |work, runs| {
        work.execute("INSERT INTO counters (name, value) VALUES ('again', 1)", &[]).await?;
        if runs.fetch_add(1, Ordering::SeqCst) < 2 { work.script(NOT_SERIALIZABLE).await } else { Ok(()) }
    });
    let written: Result<(), DatabaseError> = write.await;
    written.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(counter(&shop.database, "again").await, Some(1));
}

on_both_engines!(a_savepoint_as_the_last_statement_is_rolled_back_with_its_unit);
async fn a_savepoint_as_the_last_statement_is_rolled_back_with_its_unit(shop: &Shop) {
    for _ in 0..20 {
        let failed: Result<(), DatabaseError> = shop
            .database
            .write((), async |work, ()| {
                work.one::<i64>("INSERT INTO counters (name, value) VALUES ('f', 1) RETURNING value", &[])
                    .await?;
                work.savepoint()?;
                Err(DatabaseError::Stale { table: "counters" })
            })
            .await;
        assert!(matches!(failed, Err(DatabaseError::Stale { .. })), "{failed:?}");
    }
    assert_eq!(counter(&shop.database, "f").await, None);
    assert_eq!(count_up(&shop.database, "f", false).await.unwrap(), 1);
}

on_both_engines!(a_second_copy_of_a_locked_row_does_not_overwrite_the_first);
async fn a_second_copy_of_a_locked_row_does_not_overwrite_the_first(shop: &Shop) {
    let user = shop.customer().await;
    let outcome: Result<(), DatabaseError> = shop
        .database
        .write(user, async |work, id| {
            let mut first = work.lock::<User>(*id).await?.unwrap();
            let mut second = first.clone();
            first.name = "First".into();
            assert!(work.save(&mut first).await?);
            assert!(!work.save(&mut first).await?, "nothing changed since");
            second.birth_date = Some("2000-01-01".parse().unwrap());
            work.save(&mut second).await.map(drop)
        })
        .await;
    assert!(matches!(outcome, Err(DatabaseError::Internal(_))), "{outcome:?}");
}

on_both_engines!(a_row_that_was_locked_before_a_savepoint_is_saved_after_the_rollback_to_it);
async fn a_row_that_was_locked_before_a_savepoint_is_saved_after_the_rollback_to_it(shop: &Shop) {
    let id = shop.customer().await;
    let write = shop.database.write(id, async |work, id| {
        let mut user = work.lock::<User>(*id).await?.unwrap();
        let mut discarded = user.clone();
        discarded.name = "Ada Lovelace".into();
        work.savepoint()?;
        work.save(&mut discarded).await?;
        work.rollback_to_savepoint().await?;
        user.name = "Ada Lovelace".into();
        work.save(&mut user).await
    });
    let saved: Result<bool, DatabaseError> = write.await;
    assert!(saved.unwrap());
    let stored: User = shop.database.read().await.unwrap().find(id).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.version), ("Ada Lovelace", 2));
}

/// Increments a counter in a transaction that stays open until `end` completes.
async fn hold(database: &Database, name: &'static str, end: oneshot::Receiver<()>) -> JoinHandle<()> {
    let (locked, is_locked) = oneshot::channel();
    let signals = Arc::new(Mutex::new(Some((locked, end))));
    let database = database.clone();
    let holder = tokio::spawn(async move {
        let held: Result<(), DatabaseError> = database
            .write((name, signals), async |work, (name, signals)| {
                next_number(work, name).await?;
                if let Some((locked, end)) = signals.lock().await.take() {
                    locked.send(()).unwrap();
                    end.await.unwrap();
                }
                Ok(())
            })
            .await;
        held.unwrap();
    });
    is_locked.await.unwrap();
    holder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_for_long_delays_no_read_and_fails_the_writes_that_wait_for_it() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let (end, ended) = oneshot::channel();
    let holder = hold(&shop.database, "held", ended).await;

    let writes: Vec<_> = (0..30)
        .map(|_| {
            let database = shop.database.clone();
            tokio::spawn(async move { count_up(&database, "held", false).await })
        })
        .collect();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(counter(&shop.database, "other").await, None);
    }
    for write in writes {
        let result = write.await.unwrap();
        assert!(matches!(result, Err(DatabaseError::Unavailable(_))), "{result:?}");
    }
    end.send(()).unwrap();
    holder.await.unwrap();
    assert_eq!(counter(&shop.database, "held").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_writes_for_long_the_changes_that_wait_fail_together() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let file = shop.url.strip_prefix("sqlite:").unwrap();
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    // one after the other they would wait for five minutes
    let writes = (0..30).map(|_| count_up(&shop.database, "held", false));
    let failed =
        timeout(Duration::from_mins(1), join_all(writes)).await.expect("they do not wait for each other");
    assert!(failed.iter().all(|result| matches!(result, Err(DatabaseError::Unavailable(_)))), "{failed:?}");

    other.execute_batch("COMMIT").unwrap();
    count_up(&shop.database, "held", false).await.unwrap();
    assert_eq!(counter(&shop.database, "held").await, Some(1));
}

on_both_engines!(a_missing_value_is_an_error_with_its_column);
async fn a_missing_value_is_an_error_with_its_column(shop: &Shop) {
    let insert = shop.database.write((), async |work, ()| {
        work.execute("INSERT INTO store_settings (key, value) VALUES ('seller', NULL)", &[]).await
    });
    let error = insert.await.unwrap_err();
    assert!(error.is_check("store_settings.value"), "{error}");
}
