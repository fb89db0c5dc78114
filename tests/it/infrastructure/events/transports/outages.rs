//! The broker is away, slow, half-open or wiped, or the process that publishes ends: no event is lost.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::SignedDuration;
use undercroft::infrastructure::events::Mode;
use undercroft::infrastructure::events::transports::Settlement;

use super::delivery::{OTHER, Process, assert_read, publish, wait_for, wait_for_notes};
use crate::support::brokers::TestBroker;
use crate::support::store::{execute, value};
use crate::support::{Line, Proxy, Shop, ShopOptions};

/// Whether the relay has published every event.
pub const RELAYED: &str = "SELECT COUNT(*) FROM event_cursors \
                       WHERE subscriber = 'broker' AND seq = (SELECT MAX(seq) FROM outbox)";

on_each_broker_and_engine!(events_are_published_while_the_broker_is_away_and_delivered_afterwards);
async fn events_are_published_while_the_broker_is_away_and_delivered_afterwards(
    shop: &Shop,
    broker: &TestBroker,
) {
    let database = &shop.database;
    let (proxy, url) = Proxy::before(&broker.url).await.unwrap();
    proxy.set(Line::Cut);
    let process = Process::start(database, broker.transport_at(&url), Mode::Structured);
    publish(database, 1, 0..50).await;
    proxy.set(Line::Open);
    wait_for_notes(database, 50).await;
    let mut next = 50;
    for line in [Line::Cut, Line::Slow(Duration::from_millis(20)), Line::Silent] {
        publish(database, 1, next..next + 50).await;
        proxy.set(line);
        publish(database, 1, next + 50..next + 100).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Line::Open);
        publish(database, 1, next + 100..next + 110).await;
        next += 110;
        wait_for_notes(database, next).await;
    }
    assert_read(database).await;
    process.end().await;
}

on_each_broker_and_engine!(a_broker_that_was_wiped_gets_every_event_that_is_kept_again);
async fn a_broker_that_was_wiped_gets_every_event_that_is_kept_again(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    publish(database, 1, 0..20).await;
    let process = Process::start(database, broker.transport(), Mode::Structured);
    wait_for_notes(database, 20).await;
    wait_for(database, RELAYED, 1).await;

    broker.wipe().await;
    publish(database, 1, 20..30).await;
    wait_for_notes(database, 30).await;
    wait_for(database, RELAYED, 1).await;
    // another service gets all of them from the new broker, in their order
    let mut messages = broker.transport().consume(OTHER).await.unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < 30 {
        let next = tokio::time::timeout(Duration::from_mins(1), messages.next()).await;
        let received = next.expect("no message came in a minute").unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
        let number = event["data"]["available"].as_i64().unwrap();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
        received.receipt.settle(Settlement::Handled).await.unwrap();
    }
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
    process.end().await;
}

on_each_broker_and_engine!(another_process_publishes_after_the_lease_has_ended, ShopOptions::manual_clock());
async fn another_process_publishes_after_the_lease_has_ended(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    let first = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 1, 0..10).await;
    wait_for_notes(database, 10).await;
    first.crash().await;

    let second = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 1, 10..20).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let published = "SELECT COUNT(*) FROM counters WHERE name LIKE 'note-%'";
    assert_eq!(value::<i64>(database, published, &[]).await, 10, "the lease has not ended");
    shop.clock().advance(SignedDuration::from_secs(31));
    wait_for_notes(database, 20).await;
    assert_read(database).await;
    second.end().await;

    let third = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 1, 20..30).await;
    wait_for_notes(database, 30).await;
    third.end().await;
}

on_each_broker_and_engine!(a_process_that_lost_its_lease_moves_no_cursor, ShopOptions::manual_clock());
async fn a_process_that_lost_its_lease_moves_no_cursor(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    let process = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 1, 0..10).await;
    wait_for(database, RELAYED, 1).await;
    // another process has the lease
    let leased = &["UPDATE event_cursors SET lease = (SELECT id FROM outbox ORDER BY seq LIMIT 1) \
                    WHERE subscriber = 'broker'"];
    execute(database, leased).await;
    let position = "SELECT seq FROM event_cursors WHERE subscriber = 'broker'";
    let before: i64 = value(database, position, &[]).await;
    publish(database, 1, 10..20).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(value::<i64>(database, position, &[]).await, before);
    shop.clock().advance(SignedDuration::from_secs(31));
    wait_for_notes(database, 20).await;
    wait_for(database, RELAYED, 1).await;
    process.end().await;
}
