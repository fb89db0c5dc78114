//! A store whose events are carried by a broker.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, Setup};

use super::events::{change, store};
use super::{SERVE, Server, undercroft};
use crate::support::brokers::TestBroker;
use crate::support::store::execute;
use crate::support::{Line, Proxy};

/// The command to run the binary with a broker.
fn with_broker(folder: &Path, arguments: &[&str], url: &str, broker: &TestBroker) -> Command {
    let mut command = undercroft(folder, arguments);
    command.env("UNDERCROFT_EVENTS__URL", url).env("UNDERCROFT_EVENTS__NAME", &broker.name);
    command
}

/// The standard output of a command.
fn output(mut command: Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// The number of events that are not published to the broker.
fn unpublished(folder: &Path, broker: &TestBroker) -> i64 {
    let text = output(with_broker(folder, &["events", "subscribers", "--json"], &broker.url, broker));
    let subscribers = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    subscribers.filter(|one| one["subscriber"] == "broker").map(|one| one["unread"].as_i64().unwrap()).sum()
}

/// Waits until all events are published, and the broker is set up.
async fn wait_until_published(folder: &Path, broker: &TestBroker) {
    let (groups, transport) = (["notifications".to_owned(), "webhooks".to_owned()], broker.transport());
    let deadline = Instant::now() + Duration::from_mins(1);
    while unpublished(folder, broker) > 0 || transport.state(&groups).await.unwrap().is_none() {
        assert!(Instant::now() < deadline, "events are not published");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

on_each_broker!(a_first_start_logs_no_alarm);
async fn a_first_start_logs_no_alarm(broker: &TestBroker) {
    let folder = store();
    let (server, _) = Server::start(&mut with_broker(folder.path(), &SERVE, &broker.url, broker));
    wait_until_published(folder.path(), broker).await;
    let log = server.stop();
    assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{log}");
    assert!(!log.contains(" async_nats: ") && !log.contains(" lapin"), "{log}");
}

on_each_broker!(a_store_sells_while_its_broker_is_away_and_refills_one_that_was_wiped);
async fn a_store_sells_while_its_broker_is_away_and_refills_one_that_was_wiped(broker: &TestBroker) {
    let folder = store();
    let url = format!("sqlite:{}", folder.path().join("undercroft.db").display());
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    execute(&database, &["UPDATE outbox SET occurred_at = occurred_at - 5 * 60 * 1000000"]).await;
    drop(database);
    let advice = output(with_broker(folder.path(), &["doctor"], &broker.url, broker));
    assert!(advice.contains("broker has not read the events since"), "{advice}");

    let (proxy, url) = Proxy::before(&broker.url).await.unwrap();
    proxy.set(Line::Cut);
    let (server, _) = Server::start(&mut with_broker(folder.path(), &SERVE, &url, broker));
    change(folder.path(), 3);
    let waiting = unpublished(folder.path(), broker);
    assert!(waiting > 0);
    let advice = output(with_broker(folder.path(), &["doctor"], &broker.url, broker));
    assert!(advice.contains("responds, and is not set up"), "{advice}");

    proxy.set(Line::Open);
    wait_until_published(folder.path(), broker).await;
    let advice = output(with_broker(folder.path(), &["doctor"], &broker.url, broker));
    assert!(advice.contains("responds and is set up"), "{advice}");

    broker.wipe().await;
    wait_until_published(folder.path(), broker).await;
    change(folder.path(), 4);
    wait_until_published(folder.path(), broker).await;
    let log = server.stop();
    let refills = log.matches("publishing all events that are kept to the broker").count();
    assert_eq!(refills, 2, "at the start and after the broker was wiped: {log}");
}

/// The number of lines with a text in a log.
fn lines_with(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

on_each_broker!(an_outage_of_the_broker_has_a_line_and_its_end_another);
async fn an_outage_of_the_broker_has_a_line_and_its_end_another(broker: &TestBroker) {
    let folder = store();
    let (proxy, url) = Proxy::before(&broker.url).await.unwrap();
    proxy.set(Line::Cut);
    let (mut server, _) = Server::start(&mut with_broker(folder.path(), &SERVE, &url, broker));
    let first = server.wait_for_log("the broker is not available");
    assert!(first.contains(" server=\"127.0.0.1:") && first.contains(" setting=\"events.url\""), "{first}");
    // several attempts of the relay and of each receiver
    tokio::time::sleep(Duration::from_secs(5)).await;
    proxy.set(Line::Open);
    wait_until_published(folder.path(), broker).await;
    // the longest wait before an attempt
    tokio::time::sleep(Duration::from_secs(5)).await;
    let log = server.stop();
    assert_eq!(lines_with(&log, "the broker responds again"), 1, "{log}");
    assert_eq!(lines_with(&log, "the broker is not available") + lines_with(&log, "retrying"), 0, "{log}");
}

#[test]
fn a_broker_that_never_responded_has_one_warning_without_its_password() {
    let folder = store();
    for (url, server) in [
        #[cfg(feature = "nats")]
        ("nats://ann:hush@127.0.0.1:1", "127.0.0.1:1"),
        #[cfg(feature = "rabbitmq")]
        ("amqp://ann:hush@127.0.0.1:1/store", "127.0.0.1:1"),
    ] {
        let mut command = undercroft(folder.path(), &SERVE);
        let (running, _) = Server::start(command.env("UNDERCROFT_EVENTS__URL", url));
        std::thread::sleep(Duration::from_secs(4));
        let log = running.stop();
        let named = format!("the broker is not available server=\"{server}\" setting=\"events.url\" error=");
        assert_eq!(lines_with(&log, &named), 1, "{log}");
        assert_eq!(lines_with(&log, " WARN "), 1, "{log}");
        assert!(!log.contains("hush"), "{log}");
    }
}
