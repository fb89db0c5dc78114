//! What the inbox remembers, and the names that subscribers may have.

use jiff::SignedDuration;
use undercroft::infrastructure::events::{EventDispatcher, ReceivedEvent, Subscriber, is_first, purge_inbox};
use undercroft::infrastructure::repositories::{Database, DatabaseError};

use super::note;
use crate::support::{Shop, ShopOptions};

on_both_engines!(
    events_of_other_services_are_remembered_for_four_weeks,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn events_of_other_services_are_remembered_for_four_weeks(shop: &Shop) {
    async fn receive(database: &Database) -> bool {
        let event = ReceivedEvent {
            id: "1".to_owned(),
            source: "/parcels".to_owned(),
            event_type: "parcel.sent".to_owned(),
            version: 1,
            subject: None,
            time: None,
            position: None,
            trace: None,
            data: serde_json::Value::Null,
        };
        let received = database.write(event, async |work, event| {
            let first = is_first(work, "parcels", event).await?;
            purge_inbox(work, 10).await?;
            Ok::<_, DatabaseError>(first)
        });
        received.await.unwrap()
    }
    assert!(receive(&shop.database).await);
    shop.clock().advance(SignedDuration::from_hours(28 * 24));
    assert!(!receive(&shop.database).await);
    shop.clock().advance(SignedDuration::from_secs(1));
    assert!(!receive(&shop.database).await, "it is removed after it was recognized");
    assert!(receive(&shop.database).await);
}

#[tokio::test]
#[should_panic(expected = "the name of a subscriber is reserved: broker")]
async fn a_subscriber_cannot_have_the_name_of_the_relay() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    EventDispatcher::new(shop.database.clone(), [Subscriber::new("broker").on(note)]);
}
