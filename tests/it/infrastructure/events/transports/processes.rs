//! Processes that join late, stand beside a silent one, or are stopped.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use undercroft::domain::events::StockChanged;
use undercroft::infrastructure::events::{Broker, Envelope, EventBus, Mode, Relay, Subscriber};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::UnitOfWork;

use super::delivery::{OTHER, Process, assert_read, publish, wait_for, wait_for_notes};
use crate::support::brokers::TestBroker;
use crate::support::store::value;
use crate::support::{Line, Proxy, Shop};

on_each_broker_and_engine!(a_silent_consumer_changes_no_order);
async fn a_silent_consumer_changes_no_order(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    let groups = vec!["notes".to_owned(), OTHER.to_owned()];
    publish(database, 1, 0..10).await;
    let relaying = {
        let (transport, bus) = (broker.transport(), EventBus::default());
        let relay = Relay::new(database.clone(), Broker::new(transport, Mode::Structured, bus), groups);
        let stop = CancellationToken::new();
        let ended = tokio::spawn({
            let stop = stop.clone();
            async move {
                relay.run(&stop).await;
                relay.release().await.unwrap();
            }
        });
        wait_for(database, super::outages::RELAYED, 1).await;
        (stop, ended)
    };
    let silent = broker.transport();
    let mut messages = silent.consume("notes").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..5 {
        let next = tokio::time::timeout(Duration::from_mins(1), messages.next()).await;
        held.push(next.expect("no message came in a minute").unwrap().unwrap());
    }
    relaying.0.cancel();
    relaying.1.await.unwrap();

    let process = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 1, 10..20).await;
    publish(database, 2, 0..10).await;
    wait_for(database, super::outages::RELAYED, 1).await;
    // the silent process ends, and its messages come to the other one
    drop(held);
    drop(messages);
    wait_for_notes(database, 30).await;
    assert_read(database).await;
    process.end().await;
}

/// Writes a row for each event: its number, and the number of rows before.
async fn note_late(work: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
    let sql = "INSERT INTO counters (name, value) SELECT $1, COUNT(*) FROM counters WHERE name LIKE 'late-%'";
    work.execute(sql, &[format!("late-{}", event.available.unwrap()).into()]).await?;
    Ok(())
}

on_each_broker_and_engine!(a_late_subscriber_gets_every_event_that_is_kept);
async fn a_late_subscriber_gets_every_event_that_is_kept(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    publish(database, 1, 0..20).await;
    let first = Process::start(database, broker.transport(), Mode::Structured);
    wait_for_notes(database, 20).await;
    first.end().await;

    let late = Subscriber::new("late").on(note_late);
    let second = Process::start_with(database, broker.transport(), Mode::Structured, late);
    publish(database, 1, 20..30).await;
    wait_for(database, "SELECT COUNT(*) FROM counters WHERE name LIKE 'late-%'", 30).await;
    let out_of_order = "SELECT COUNT(*) FROM counters \
                        WHERE name LIKE 'late-%' AND CAST(SUBSTR(name, 6) AS BIGINT) <> value";
    assert_eq!(value::<i64>(database, out_of_order, &[]).await, 0);
    second.end().await;
}

on_each_broker_and_engine!(a_process_ends_whatever_its_broker_does);
async fn a_process_ends_whatever_its_broker_does(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    let (proxy, url) = Proxy::before(&broker.url).await.unwrap();
    let mut next = 0;
    for line in [Line::Open, Line::Silent, Line::Cut] {
        let process = Process::start(database, broker.transport_at(&url), Mode::Structured);
        publish(database, 1, next..next + 10).await;
        next += 10;
        wait_for_notes(database, next).await;
        proxy.set(line);
        // one that waits for a response, too
        publish(database, 1, next..next + 10).await;
        next += 10;
        let ended = tokio::time::timeout(Duration::from_mins(1), process.end()).await;
        ended.unwrap_or_else(|_| panic!("it did not end in a minute: {line:?}"));
        proxy.set(Line::Open);
    }
    let process = Process::start(database, broker.transport(), Mode::Structured);
    wait_for_notes(database, next).await;
    process.end().await;
}
