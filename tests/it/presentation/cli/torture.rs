//! Short runs of `undercroft torture`: races and crashes with a real server.

use std::process::Command;

use serde_json::Value;

use crate::support::store::value;
use crate::support::{EmptyPostgres, Shop};

/// Runs a torture test, which leaves no files, and returns its counts.
fn torture(on: &[&str], what: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_undercroft"))
        .current_dir(folder.path())
        .args(["torture", "--json"])
        .args(on)
        .args(what)
        // the servers that it starts have the default settings
        .env("UNDERCROFT_HTTP__MAX_CONNECTIONS", "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{what:?}: {out}{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    serde_json::from_str(&out).unwrap()
}

/// The arguments for an empty schema of PostgreSQL; SQLite needs none.
fn on(postgres: &EmptyPostgres) -> [&str; 2] {
    ["--on", &postgres.url]
}

fn races(on: &[&str]) {
    let counts = torture(on, &["races", "--rounds", "2", "--buyers", "24", "--pieces", "5"]);
    assert_eq!((&counts["orders"], &counts["out_of_stock"]), (&10.into(), &38.into()), "{counts}");
}

#[test]
fn competing_buyers_get_exactly_the_stock_on_sqlite() {
    races(&[]);
}

#[tokio::test]
async fn competing_buyers_get_exactly_the_stock_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    races(&on(&postgres));
}

#[test]
fn pieces_that_no_buyer_wants_stay_in_stock() {
    let counts = torture(&[], &["races", "--rounds", "1", "--buyers", "2", "--pieces", "3"]);
    assert_eq!((&counts["orders"], &counts["wrong_rounds"]), (&2.into(), &0.into()), "{counts}");
}

fn crashes(on: &[&str]) {
    let counts = torture(on, &["crashes", "--kills", "3", "--buyers", "8", "--life", "1000"]);
    assert_eq!((&counts["kills"], &counts["lost"], &counts["changed"]), (&3.into(), &0.into(), &0.into()));
    assert!(counts["repeated"].as_u64().unwrap() > 0, "{counts}");
}

#[test]
fn a_killed_server_loses_no_acknowledged_order_on_sqlite() {
    crashes(&[]);
}

#[tokio::test]
async fn a_killed_server_loses_no_acknowledged_order_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    crashes(&on(&postgres));
}

on_both_engines!(an_existing_store_is_refused);
async fn an_existing_store_is_refused(shop: &Shop) {
    let refused = Command::new(env!("CARGO_BIN_EXE_undercroft"))
        .args(["torture", "--on", &shop.url, "races", "--rounds", "1"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{errors}");
    assert!(errors.contains("contains a store already"), "{errors}");
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM users", &[]).await, 0);
}
