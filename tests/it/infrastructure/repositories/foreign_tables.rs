//! Databases in which another program has tables.

use super::copy::{Target, copied};
use super::replication::verified;
use crate::support::Shop;
use crate::support::store::{execute, value};

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
