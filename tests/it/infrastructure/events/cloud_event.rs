//! Events outside the store are CloudEvents: they are validated by the JSON schema of the specification.

use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use undercroft::infrastructure::events::{CloudEvent, EventFilter, EventLogger};

use crate::support::Shop;
use crate::support::http::order_of;

/// The schema of CloudEvents 1.0.2, <https://github.com/cloudevents/spec>, Apache License 2.0.
const SCHEMA: &str = include_str!("../../../fixtures/cloudevents.json");

/// Returns the fault of a value by the schema, if there is one.
fn fault(value: &Value) -> Option<String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource("cloudevents.json", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let schema = compiler.compile("cloudevents.json", &mut schemas).unwrap();
    schemas.validate(value, schema).err().map(|error| error.to_string())
}

on_both_engines!(every_event_of_an_order_is_valid_by_the_schema_of_cloud_events);
async fn every_event_of_an_order_is_valid_by_the_schema_of_cloud_events(shop: &Shop) {
    let server = shop.server().await;
    let user = server.customer().await;
    order_of(&user, shop.product().create().await).await;

    let mut connection = shop.database.read().await.unwrap();
    let (events, _) = EventLogger(&mut connection).last(&EventFilter::default(), 100).await.unwrap();
    assert!(events.iter().any(|event| event.event_type == "order.paid"), "{} events", events.len());
    for event in &events {
        let event = serde_json::to_value(CloudEvent::new(event)).unwrap();
        assert_eq!(fault(&event), None, "{event}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_cloud_event() {
    let event = json!({"specversion": "1.0", "id": "1", "source": "/", "type": "order.paid"});
    assert_eq!(fault(&event), None);
    for (member, wrong) in
        [("id", json!("")), ("source", json!("a b")), ("type", json!(1)), ("time", json!("today"))]
    {
        let mut event = event.clone();
        event[member] = wrong;
        assert!(fault(&event).is_some(), "{event}");
    }
}
