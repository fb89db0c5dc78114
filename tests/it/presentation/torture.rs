//! The short form of what `undercroft torture` does by the hour: races and crashes with a real server.

use std::process::Command;

use serde_json::Value;

use crate::support::store::value;
use crate::support::{EmptyPostgres, Shop};

/// Runs a torture, which leaves nothing behind, and tells its counts.
fn torture(on: &[&str], what: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_undercroft"))
        .current_dir(folder.path())
        .args(["torture", "--json"])
        .args(on)
        .args(what)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{what:?}: {out}{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    serde_json::from_str(&out).unwrap()
}

async fn tortured(what: &[&str], check: impl Fn(Value)) {
    check(torture(&[], what));
    if let Some(postgres) = EmptyPostgres::new().await {
        check(torture(&["--on", &postgres.url], what));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_at_once_get_what_there_is_and_no_more() {
    let what = ["races", "--rounds", "2", "--buyers", "24", "--pieces", "5"];
    tortured(&what, |counts| {
        assert_eq!((&counts["orders"], &counts["out_of_stock"]), (&10.into(), &38.into()), "{counts}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_that_it_acknowledged() {
    let what = ["crashes", "--kills", "3", "--buyers", "8", "--life", "1000"];
    tortured(&what, |counts| {
        assert_eq!(
            (&counts["kills"], &counts["lost"], &counts["changed"]),
            (&3.into(), &0.into(), &0.into())
        );
        assert!(counts["repeated"].as_u64().unwrap() > 0, "{counts}");
    })
    .await;
}

on_both_engines!(a_store_is_not_tortured);
async fn a_store_is_not_tortured(shop: &Shop) {
    let refused = Command::new(env!("CARGO_BIN_EXE_undercroft"))
        .args(["torture", "--on", &shop.url, "races", "--rounds", "1"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains("is a store already"), "{told}");
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM users", &[]).await, 0);
}
