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
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{what:?}: {out}{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    serde_json::from_str(&out).unwrap()
}

async fn torture_on_both(what: &[&str], check: impl Fn(Value)) {
    check(torture(&[], what));
    if let Some(postgres) = EmptyPostgres::new().await {
        check(torture(&["--on", &postgres.url], what));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn competing_buyers_get_exactly_the_stock() {
    let what = ["races", "--rounds", "2", "--buyers", "24", "--pieces", "5"];
    torture_on_both(&what, |counts| {
        assert_eq!((&counts["orders"], &counts["out_of_stock"]), (&10.into(), &38.into()), "{counts}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_no_acknowledged_order() {
    let what = ["crashes", "--kills", "3", "--buyers", "8", "--life", "1000"];
    torture_on_both(&what, |counts| {
        assert_eq!(
            (&counts["kills"], &counts["lost"], &counts["changed"]),
            (&3.into(), &0.into(), &0.into())
        );
        assert!(counts["repeated"].as_u64().unwrap() > 0, "{counts}");
    })
    .await;
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
