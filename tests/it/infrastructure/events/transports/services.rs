//! Other services get the events of a store, in each mode of CloudEvents.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Map, Value};
use undercroft::domain::events::{DurableEvent, OrderPaid};
use undercroft::infrastructure::events::transports::{Messages, Settlement};
use undercroft::infrastructure::events::{CloudEvent, Mode, ReceivedEvent};
use undercroft::infrastructure::repositories::in_trace;

use super::delivery::{OTHER, Process, publish, wait_for, wait_for_notes};
use crate::support::brokers::TestBroker;
use crate::support::orders::Sale;
use crate::support::{Shop, TestDatabase};

#[path = "../../../../../examples/consume.rs"]
#[expect(dead_code, reason = "the example is a program of its own")]
mod consume;

async fn next(messages: &mut Messages) -> (ReceivedEvent, Map<String, Value>) {
    let next = tokio::time::timeout(Duration::from_mins(1), messages.next()).await;
    let received = next.expect("no message came in a minute").unwrap().unwrap();
    let attributes = if received.content_type.as_deref() == Some(CloudEvent::MEDIA_TYPE) {
        serde_json::from_slice(&received.body).unwrap()
    } else {
        let texts =
            received.attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let data = serde_json::from_slice(&received.body).unwrap();
        texts.chain([("data".to_owned(), data)]).collect()
    };
    let event = ReceivedEvent::parse(&received).unwrap();
    received.receipt.settle(Settlement::Handled).await.unwrap();
    (event, attributes)
}

/// Checks the rules of the JSON schema of CloudEvents 1.0.
fn assert_valid(event: &Map<String, Value>) {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    assert!(["id", "source", "type", "subject"].iter().all(|name| !text(name).is_empty()), "{event:?}");
    assert_eq!(text("specversion"), "1.0");
    text("time").parse::<Timestamp>().unwrap();
    text("source").parse::<http::Uri>().unwrap();
    assert!(!event.contains_key("data_base64"));
    for (name, value) in event.iter().filter(|(name, _)| *name != "data") {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{name}");
        assert!(value.is_string() || value.is_boolean() || value.as_i64().is_some(), "{name}: {value}");
    }
}

on_each_broker_and_engine!(each_mode_contains_the_whole_event_by_the_rules_of_cloud_events);
async fn each_mode_contains_the_whole_event_by_the_rules_of_cloud_events(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    for (number, mode) in [(0, Mode::Structured), (1, Mode::Binary)] {
        let process = Process::start(database, broker.transport(), mode);
        in_trace(trace, publish(database, 1, number..number + 1)).await;
        wait_for_notes(database, number + 1).await;
        let mut messages = broker.transport().consume(OTHER).await.unwrap();
        let (event, attributes) = next(&mut messages).await;
        assert_valid(&attributes);
        let subject = "00000000-0000-0000-0000-000000000001";
        assert_eq!((event.subject.as_deref(), event.version), (Some(subject), 1));
        assert_eq!((event.event_type.as_str(), &event.data["available"]), ("stock.changed", &number.into()));
        assert!(event.position.is_some() && event.time.is_some());
        assert!(event.trace.is_some() && event.trace == trace);
        process.end().await;
    }
}

on_each_broker_and_engine!(another_service_receives_each_event_once_into_its_own_database);
async fn another_service_receives_each_event_once_into_its_own_database(shop: &Shop, broker: &TestBroker) {
    let own = TestDatabase::sqlite(undercroft::domain::context::Context::system()).await;
    let service = consume::open(&own.url).await.unwrap();
    let groups = [consume::GROUP.to_owned()];
    broker.transport().set_up(&groups).await.unwrap();
    let variant = shop.product().price(1000).stock(10).create().await;
    for _ in 0..3 {
        Sale::of(&shop.store, variant, "tok_ok").await;
    }
    let process = Process::start(&shop.database, broker.transport(), Mode::Structured);
    let receiving = tokio::spawn({
        let (service, transport) = (service.clone(), broker.transport());
        async move { consume::receive(&service, transport.as_ref()).await }
    });
    wait_for(&service, "SELECT COALESCE(SUM(orders), 0) FROM order_counts", 3).await;
    // the broker repeats an event
    let sql = "SELECT id, seq, CAST(data AS TEXT) FROM outbox WHERE type = 'order.paid' ORDER BY seq LIMIT 1";
    let (id, position, data): (uuid::Uuid, i64, String) =
        shop.database.read().await.unwrap().one(sql, &[]).await.unwrap();
    let (id, position) = (id.to_string(), position.to_string());
    let attributes = [
        ("specversion", "1.0"),
        ("id", &*id),
        ("source", "/"),
        ("type", OrderPaid::TYPE),
        ("sequence", &position),
    ];
    broker.send(OrderPaid::TYPE, &broker.binary(&attributes), data.as_bytes()).await;
    Sale::of(&shop.store, variant, "tok_ok").await;
    wait_for(&service, "SELECT COALESCE(SUM(orders), 0) FROM order_counts", 4).await;
    receiving.abort();
    process.end().await;
}
