//! Databases in which another program has tables.

use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, SchemaState};

use super::copy::{Target, copied};
use super::replication::verified;
use crate::support::Shop;
use crate::support::store::{execute, value};

#[tokio::test]
async fn a_store_is_not_set_up_among_the_tables_of_another_program() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        for table in ["notes (a TEXT)", "schema_migrations (version BIGINT)"] {
            let Some(target) = Target::on(engine).await else { return };
            target.script(&format!("CREATE TABLE {table}")).await;
            let error = target.open().await.unwrap_err();
            assert!(matches!(error, DatabaseError::Schema(_)), "{error}");
            let state = Database::look(&target.url.parse().unwrap(), Context::system()).await;
            assert_eq!(state.unwrap(), SchemaState::Foreign);
        }
    }
}

on_both_engines!(tables_of_another_program_are_named_and_neither_copied_nor_recorded);
async fn tables_of_another_program_are_named_and_neither_copied_nor_recorded(shop: &Shop) {
    const CREATE: [&str; 2] =
        ["CREATE TABLE notes (id INTEGER PRIMARY KEY, price NUMERIC)", "CREATE TABLE hints (a VARCHAR(9))"];
    execute(&shop.database, &CREATE).await;
    shop.customer().await;
    let target = Target::sqlite();
    assert_eq!(copied(&shop.url, &target.url).await.not_copied, ["hints", "notes"]);

    let target = Target::sqlite();
    verified(&shop.url, &target.url).await;
    let recorded = "SELECT COUNT(*) FROM row_changes";
    let before: i64 = value(&shop.database, recorded, &[]).await;
    execute(&shop.database, &["INSERT INTO notes (id, price) VALUES (1, 2.5)"]).await;
    assert_eq!(value::<i64>(&shop.database, recorded, &[]).await, before);
}
