//! Short runs of `undercroft torture`: races, crashes and restarts of real servers, and events over several processes.

use std::process::Command;

use serde_json::Value;

use super::run;
use crate::support::brokers::TestBroker;
use crate::support::redis::redis_url;
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

fn caches(on: &[&str]) {
    let what =
        ["races", "--verify-caches", "--rounds", "3", "--buyers", "24", "--pieces", "5", "--set-stock"];
    let counts = torture(on, &what);
    assert_eq!((&counts["stale_hits"], &counts["wrong_rounds"]), (&0.into(), &0.into()), "{counts}");
    assert!(counts["checked_entries"].as_u64().unwrap() > 0, "{counts}");
}

#[test]
fn what_servers_serve_from_caches_under_load_is_what_the_database_has_on_sqlite() {
    caches(&[]);
}

#[tokio::test]
async fn what_servers_serve_from_caches_under_load_is_what_the_database_has_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    caches(&on(&postgres));
}

/// Changes what readers see on four servers for some seconds, with Redis if it is there. The counts that are named are
/// not zero.
async fn caches_of_servers(on: &[&str], options: &[&str], named: &[&str]) {
    let mut what = vec!["caches", "--seconds=10", "--life=2500", "--cut=1000"];
    what.extend(options);
    let redis = redis_url().await.map(|url| format!("--redis={url}"));
    what.extend(redis.as_deref());
    let counts = torture(on, &what);
    for none in ["old_reads", "failed"] {
        assert_eq!(counts[none], 0, "{none}: {counts}");
    }
    // which changes they are is random, and a loaded machine makes few
    let some = ["kills", "reads", "writes"];
    for some in some.iter().chain(redis.as_ref().map(|_| &"cuts")).chain(named) {
        assert!(counts[some].as_u64().unwrap() > 0, "{some}: {counts}");
    }
    assert_eq!(counts["stale_hits"].as_u64().unwrap_or_default(), 0, "{counts}");
    assert!(counts["caches"]["product"]["hits"].as_u64().unwrap() > 0, "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_sees_what_is_old_while_servers_are_killed_and_redis_is_cut_off_on_sqlite() {
    caches_of_servers(&[], &[], &["checked_entries"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_sees_what_is_old_while_servers_are_killed_and_redis_is_cut_off_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    caches_of_servers(&on(&postgres), &[], &["checked_entries"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_sees_what_is_old_while_servers_are_cut_off_from_the_database() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    caches_of_servers(&on(&postgres), &["--database-cuts"], &["checked_entries", "database_cuts"]).await;
}

// what check mode finds old is replaced before readers see it: without it, they alone compare
#[tokio::test(flavor = "multi_thread")]
async fn no_reader_sees_what_is_old_without_check_mode() {
    caches_of_servers(&[], &["--unchecked"], &[]).await;
}

#[test]
fn servers_cannot_be_cut_off_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = run(folder.path(), &["torture", "caches", "--database-cuts"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("--database-cuts needs a PostgreSQL database"), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_and_no_page_is_old_while_redis_has_a_fault() {
    let Some(url) = redis_url().await else { return };
    // how long pages take is nothing that a loaded machine can be tested for
    let counts = torture(&[], &["cache-store", "--redis", &url, "--seconds", "1", "--fast", "60000"]);
    for none in ["failed", "old_reads", "stale_hits"] {
        assert_eq!(counts[none], 0, "{none}: {counts}");
    }
    for fault in ["away", "silent", "slow", "full", "lost", "garbage"] {
        for phase in ["before", "then", "after"] {
            assert!(counts[format!("{fault}_{phase}")].as_u64().unwrap() > 0, "{fault} {phase}: {counts}");
        }
    }
    assert!(counts["checked_entries"].as_u64().unwrap() > 0, "{counts}");
    assert!(counts["caches"]["product"]["shared"].as_u64().unwrap() > 0, "Redis is used: {counts}");
}

#[test]
fn with_caches_a_request_takes_fewer_queries() {
    let sales = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/online-retail.csv");
    let counts = torture(&[], &["mix", sales, "--visits", "200"]);
    let number = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(number("failed"), 0, "{counts}");
    assert!(number("queries_per_1000") < number("queries_per_1000_without"), "{counts}");
    assert!(counts["caches"]["category"]["hits"].as_u64().unwrap() > 100, "{counts}");
}

#[test]
fn a_server_process_disconnects_slow_clients_and_serves_others() {
    // how long they take is nothing that a loaded machine can be tested for
    let fast = ["--fast", "60000", "--fast-arriving", "60000"];
    let test = ["slow-clients", "--clients", "30", "--longest", "60"];
    let counts = torture(&[], &[test.as_slice(), &fast].concat());
    assert_eq!((&counts["disconnected"], &counts["failed"]), (&30.into(), &0.into()), "{counts}");
    assert!(counts["memory_after_kb"].as_u64().unwrap() > 0 || cfg!(not(target_os = "linux")), "{counts}");
}

#[test]
fn no_request_fails_when_more_shoppers_arrive_than_a_server_can_serve() {
    // how long they wait, and how many buy or find no connection, is nothing that a loaded machine can be tested for
    let counts = torture(&[], &["overload", "--seconds", "1", "--only-measure"]);
    let number = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("{name}: {counts}"));
    for some in ["capacity", "half_bought", "half_p99"] {
        assert!(number(some) > 0, "{some}: {counts}");
    }
    for load in ["half", "double", "tenfold"] {
        let figures = ["bought", "p99", "failed", "unserved"];
        let [bought, p99, failed, _] = figures.map(|figure| number(&format!("{load}_{figure}")));
        assert!(bought == 0 || p99 > 0, "{load}: {counts}");
        assert_eq!(failed, 0, "{load}: {counts}");
    }
}

fn crashes(on: &[&str]) {
    let counts =
        torture(on, &["--verify-caches", "crashes", "--kills", "3", "--buyers", "8", "--life", "1000"]);
    assert_eq!((&counts["kills"], &counts["lost"], &counts["changed"]), (&3.into(), &0.into(), &0.into()));
    assert_eq!(counts["stale_hits"], 0, "{counts}");
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

fn restarts(on: &[&str]) {
    let counts = torture(on, &["--verify-caches", "restarts", "--restarts", "2", "--buyers", "4"]);
    assert_eq!((&counts["failed"], &counts["unclean_ends"]), (&0.into(), &0.into()), "{counts}");
    assert_eq!(counts["stale_hits"], 0, "{counts}");
    assert!(counts["orders"].as_u64().unwrap() > 0, "{counts}");
}

#[test]
fn no_request_fails_while_servers_are_restarted_on_sqlite() {
    restarts(&[]);
}

#[tokio::test]
async fn no_request_fails_while_servers_are_restarted_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    restarts(&on(&postgres));
}

/// Publishes 1,000 events, which three subscribers must handle once each, and runs ten jobs.
fn events(on: &[&str], arguments: &[&str]) -> Value {
    let what = ["events", "--events", "1000", "--writers", "16", "--jobs", "10"];
    let counts = torture(on, &[&what[..], arguments].concat());
    assert_eq!((&counts["published"], &counts["handled"]), (&1000.into(), &3000.into()), "{counts}");
    assert_eq!(counts["jobs"], 10, "{counts}");
    counts
}

#[test]
fn each_event_is_handled_once_by_killed_processes_on_sqlite() {
    events(&[], &["--processes", "1", "--kills", "3"]);
}

#[tokio::test]
async fn each_event_is_handled_once_by_killed_processes_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    events(&on(&postgres), &["--processes", "2", "--kills", "3"]);
}

on_each_broker!(each_event_is_handled_once_through_a_broker_and_a_database_that_were_away);
async fn each_event_is_handled_once_through_a_broker_and_a_database_that_were_away(broker: &TestBroker) {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    let through = ["--broker", &broker.url, "--name", &broker.name];
    let counts = events(
        &on(&postgres),
        &[&through[..], &["--processes", "2", "--outage", "1", "--interval", "2000"]].concat(),
    );
    assert!(counts.get("broker_catch_up_ms").is_some() && counts.get("database_catch_up_ms").is_some());
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
