//! Messages that are no events of the store are rejected with a reason, and delay no others.

use serde_json::json;
use undercroft::domain::events::{DurableEvent, StockChanged};
use undercroft::infrastructure::events::Mode;
use undercroft::infrastructure::events::transports::MAX_MESSAGE;

use super::delivery::{OTHER, Process, publish, wait_for, wait_for_notes};
use super::outages::RELAYED;
use crate::support::Shop;
use crate::support::brokers::TestBroker;
use crate::support::store::value;

const JSON: &str = "application/cloudevents+json; charset=utf-8";

/// The JSON of an event, with changes.
fn event(changes: &[(&str, serde_json::Value)]) -> String {
    let mut event = json!({
        "specversion": "1.0", "id": "019a0000-0000-7000-8000-000000000000", "source": "/",
        "type": StockChanged::TYPE, "subject": "s", "time": "2026-01-01T00:00:00Z",
        "dataversion": 1, "sequence": "00000000000000000001", "data": {},
    });
    for (name, value) in changes {
        event[*name] = value.clone();
    }
    event.to_string()
}

on_each_broker_and_engine!(messages_that_are_no_events_of_the_store_are_rejected_and_delay_no_others);
async fn messages_that_are_no_events_of_the_store_are_rejected_and_delay_no_others(
    shop: &Shop,
    broker: &TestBroker,
) {
    let database = &shop.database;
    broker.set_up(&["notes"]).await;
    publish(database, 1, 0..1).await;
    let first: i64 = value(database, "SELECT MIN(seq) FROM outbox", &[]).await;
    let bodies = [
        ("text/plain", "hello".to_owned(), "no CloudEvent"),
        (JSON, "{\"specversion\": \"1.0\", \"id\":".to_owned(), "the body is malformed: EOF"),
        (JSON, "\u{0}\u{1}garbage".to_owned(), "the body is malformed"),
        (JSON, "[]".to_owned(), "expected an object"),
        (JSON, r#"{"id": "1", "id": "2"}"#.to_owned(), r#"the member "id" is there twice"#),
        (JSON, event(&[("specversion", json!("2.0"))]), "version 2.0 of CloudEvents is not supported"),
        (JSON, event(&[("id", json!(null))]), "the attribute id is missing"),
        (JSON, event(&[("type", json!(""))]), "the attribute type is not a text that is not empty"),
        (JSON, event(&[("time", json!("yesterday"))]), "the attribute time is not a time by RFC 3339"),
        (JSON, event(&[("Upper", json!(1))]), "the attribute Upper is not named by"),
        (JSON, event(&[("nested", json!({}))]), "the attribute nested is not a text, a 32-bit integer"),
        (JSON, event(&[("data_base64", json!("e30="))]), "the attribute data_base64 is not alone"),
        (JSON, event(&[("source", json!("https://example.com/"))]), "does not receive events of the source"),
        (JSON, event(&[("id", json!("one"))]), "the id is not that of an event of the store"),
        (JSON, event(&[("sequence", json!(null))]), "the attribute sequence is missing"),
        (JSON, event(&[("sequence", json!("999999"))]), "the store has published no event with this id"),
        (
            JSON,
            event(&[("sequence", json!(first.to_string()))]),
            "the store has published no event with this id",
        ),
    ];
    for (content_type, body, _) in &bodies {
        broker.send(StockChanged::TYPE, &[("content-type", content_type)], body.as_bytes()).await;
    }
    let process = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 1, 1..10).await;
    wait_for_notes(database, 10).await;

    let rejected = broker.rejected(bodies.len()).await;
    for (_, body, reason) in &bodies {
        let found = rejected.iter().find(|rejected| rejected.body == body.as_bytes());
        let found = found.unwrap_or_else(|| panic!("{body} was not rejected"));
        assert!(found.reason.contains(reason), "{body}: {}", found.reason);
    }
    process.end().await;
}

/// An event that is too large for every broker.
#[derive(serde::Serialize, serde::Deserialize)]
struct Large {
    text: String,
}

impl DurableEvent for Large {
    const TYPE: &'static str = "large";

    fn subject(&self) -> String {
        "00000000-0000-0000-0000-000000000001".into()
    }
}

on_each_broker_and_engine!(an_event_that_is_too_large_becomes_a_dead_letter_of_the_relay);
async fn an_event_that_is_too_large_becomes_a_dead_letter_of_the_relay(shop: &Shop, broker: &TestBroker) {
    let error = refused(shop, broker, 10 * MAX_MESSAGE).await;
    assert!(error.contains("at most 1048576 are accepted"), "{error}");
}

on_each_broker_and_engine!(an_event_that_a_limited_stream_refuses_becomes_a_dead_letter_of_the_relay);
async fn an_event_that_a_limited_stream_refuses_becomes_a_dead_letter_of_the_relay(
    shop: &Shop,
    broker: &TestBroker,
) {
    broker.set_up(&["notes", OTHER]).await;
    if broker.limit_messages(2000).await {
        let error = refused(shop, broker, 3000).await;
        assert!(error.contains("message size exceeds maximum allowed"), "{error}");
    }
}

/// Publishes an event with a text of this size among others; returns the error of its dead letter.
async fn refused(shop: &Shop, broker: &TestBroker, size: usize) -> String {
    let database = &shop.database;
    publish(database, 1, 0..2).await;
    let large = Large { text: "a".repeat(size) };
    let published: Result<(), undercroft::infrastructure::repositories::DatabaseError> =
        database.write(large, async |work, large| work.publish(large).await).await;
    published.unwrap();
    publish(database, 1, 2..4).await;
    let process = Process::start(database, broker.transport(), Mode::Structured);
    wait_for_notes(database, 4).await;
    let dead = "SELECT COUNT(*) FROM dead_letters WHERE subscriber = 'broker' AND event_type = 'large'";
    wait_for(database, dead, 1).await;
    wait_for(database, RELAYED, 1).await;
    process.end().await;
    value(database, "SELECT error FROM dead_letters", &[]).await
}
