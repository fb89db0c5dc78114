//! What is refused, and differences that are found.

use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::copy::{CopyError, copy};
use undercroft::infrastructure::repositories::replication::{Goal, ReplicationError, stop};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine};

use super::super::copy::{Target, tables_of_the_migrations};
use super::{Watch, open, other, run, verified};
use crate::support::Shop;
use crate::support::orders::Sale;
use crate::support::store::{execute, value};

async fn refused(from: &str, to: &str) -> ReplicationError {
    run(from, to, Goal::Verify, Watch::new()).await.unwrap_err()
}

on_both_engines!(a_source_has_one_target_and_a_target_one_source);
async fn a_source_has_one_target_and_a_target_one_source(shop: &Shop) {
    let before = triggers(&shop.database).await;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        verified(&shop.url, &target.url).await;
        let second = Target::sqlite();
        assert!(matches!(refused(&shop.url, &second.url).await, ReplicationError::OtherTarget));
        assert!(matches!(refused(&target.url, &second.url).await, ReplicationError::SourceIsStandby));
        assert!(matches!(refused(&shop.url, &shop.url).await, ReplicationError::Copy(CopyError::Same)));
        let foreign = Target::sqlite();
        drop(foreign.open().await.unwrap());
        assert!(matches!(refused(&foreign.url, &target.url).await, ReplicationError::OtherSource));
        assert!(matches!(
            refused(&shop.url, &foreign.url).await,
            ReplicationError::Copy(CopyError::NotEmpty)
        ));
        let same = |url: &str| url.parse().unwrap();
        let copied = copy(&same(&shop.url), &same(&target.url), Context::system(), &mut Watch::new()).await;
        assert!(copied.is_ok(), "a copy compares a standby that is equal: {copied:?}");

        stop(&same(&shop.url), Context::system()).await.unwrap();
        assert!(matches!(
            stop(&same(&shop.url), Context::system()).await,
            Err(ReplicationError::NotReplicated)
        ));
        assert!(matches!(refused(&shop.url, &target.url).await, ReplicationError::OtherSource));
        assert_eq!(triggers(&shop.database).await, before);
    }
}

/// The names of the triggers and tables, which a replication that was ended leaves as they were.
async fn triggers(database: &Database) -> Vec<String> {
    let sql = match database.engine() {
        Engine::Sqlite => {
            "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY 1"
        }
        Engine::Postgres => {
            "SELECT t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
             WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal \
             UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace \
             UNION ALL SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY 1"
        }
    };
    database.read().await.unwrap().all(sql, &[]).await.unwrap()
}

on_both_engines!(changes_of_every_table_are_recorded_or_the_replication_is_refused);
async fn changes_of_every_table_are_recorded_or_the_replication_is_refused(shop: &Shop) {
    let target = Target::sqlite();
    verified(&shop.url, &target.url).await;
    let names = triggers(&shop.database).await.join("\n");
    for table in tables_of_the_migrations() {
        assert!(names.contains(&format!("record_{table}")), "{table}");
    }
    let remove = match shop.database.engine() {
        Engine::Sqlite => "DROP TRIGGER record_carts_update",
        Engine::Postgres => "DROP TRIGGER record_carts ON carts",
    };
    let removed: Result<(), DatabaseError> =
        shop.database.write(remove, async |work, remove| work.script(remove).await).await;
    removed.unwrap();
    let error = refused(&shop.url, &target.url).await;
    assert!(matches!(&error, ReplicationError::NotRecorded(table) if table == "carts"), "{error}");
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_difference_is_an_error_that_names_the_table);
async fn a_difference_is_an_error_that_names_the_table(shop: &Shop) {
    for engine in [Engine::Sqlite, other(Engine::Sqlite)] {
        let Some(target) = Target::on(engine).await else { return };
        Sale::begin(shop, 5, "tok_ok").await;
        verified(&shop.url, &target.url).await;
        target
            .script(
                "UPDATE replication SET role = 'applying'; UPDATE products SET name = name || '?'; \
                 UPDATE replication SET role = 'standby'",
            )
            .await;
        let error = refused(&shop.url, &target.url).await;
        assert!(matches!(&error, ReplicationError::Differs(tables) if tables == "products"), "{error}");
        stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
    }
}

on_both_engines!(a_source_that_was_restored_is_refused);
async fn a_source_that_was_restored_is_refused(shop: &Shop) {
    let target = Target::sqlite();
    Sale::begin(shop, 5, "tok_ok").await;
    verified(&shop.url, &target.url).await;
    execute(&shop.database, &["UPDATE products SET description = 'changed'"]).await;
    verified(&shop.url, &target.url).await;
    let applied: i64 = value(&open(&target.url).await, "SELECT applied FROM replication", &[]).await;
    assert!(applied > 0);
    execute(
        &shop.database,
        match shop.database.engine() {
            Engine::Sqlite => &["UPDATE sqlite_sequence SET seq = 0 WHERE name = 'row_changes'"],
            Engine::Postgres => &["ALTER SEQUENCE row_changes_seq_seq RESTART"],
        },
    )
    .await;
    assert!(matches!(refused(&shop.url, &target.url).await, ReplicationError::SourceRestored));
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_standby_that_was_restored_is_refused);
async fn a_standby_that_was_restored_is_refused(shop: &Shop) {
    let target = Target::sqlite();
    shop.product().create().await;
    verified(&shop.url, &target.url).await;
    let file = target.url.strip_prefix("sqlite:").unwrap();
    let backup = format!("{file}.backup");
    std::fs::copy(file, &backup).unwrap();
    execute(&shop.database, &["UPDATE products SET description = 'changed'"]).await;
    verified(&shop.url, &target.url).await;

    std::fs::copy(&backup, file).unwrap();
    let error = refused(&shop.url, &target.url).await;
    assert!(matches!(error, ReplicationError::TargetRestored), "{error}");
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}
