//! An event that fails postpones the later events of its subject, a replay those that it selects, and a cursor passes
//! over events of other types.

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use undercroft::domain::events::UserErased;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::events::{Envelope, EventBus, HandlerFailure, Replay, Subscriber};
use undercroft::infrastructure::exceptions::{Conflict, Failure};
use undercroft::infrastructure::repositories::{DatabaseError, UnitOfWork};
use uuid::Uuid;

use super::{
    assert_in_order, deliver_up_to, dispatcher, note, note_but_3, noting, postponed, publish, publish_about,
};
use crate::support::store::{execute, value};
use crate::support::{Shop, ShopOptions};

on_both_engines!(an_event_that_fails_delays_no_other_subject, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn an_event_that_fails_delays_no_other_subject(shop: &Shop) {
    let database = &shop.database;
    let variant_id = VariantId(Uuid::nil());
    for available in 0..4 {
        publish_about(database, variant_id, available).await;
        publish(database, 10 + available).await;
    }
    let bus = EventBus::default();
    let mut failures = bus.subscribe::<HandlerFailure>();
    let fails = dispatcher(database, Subscriber::new("fails").on(note_but_3).reporting_to(bus));
    deliver_up_to(&fails, database, 3 + 4).await;
    assert_eq!(failures.next().await, HandlerFailure { subscriber: "fails" });
    publish_about(database, variant_id, 4).await;
    publish(database, 14).await;
    deliver_up_to(&fails, database, 3 + 5).await;
    assert_eq!(postponed(database).await, 2, "the event that failed and the one behind it");
    let lag = fails.lag().await.unwrap().remove(0);
    assert_eq!((lag.subscriber, lag.unread, lag.postponed, lag.dead_letters), ("fails", 0, 2, 0));
    let next = lag.next_attempt_at.unwrap().duration_since(shop.now());
    assert!(SignedDuration::ZERO < next && next <= SignedDuration::from_secs(2), "{next}");
    assert!(lag.last_error.is_some_and(|error| !error.is_empty()));

    // another release handles it
    shop.clock().advance(SignedDuration::from_hours(1));
    let mended = dispatcher(database, Subscriber::new("fails").on(note));
    deliver_up_to(&mended, database, 10).await;
    let order = "SELECT COUNT(*) FROM counters AS early JOIN counters AS late ON early.value < late.value \
                 WHERE early.name = 'note-0003' AND late.name = 'note-0004'";
    assert_eq!(value::<i64>(database, order, &[]).await, 1);
}

on_both_engines!(an_event_that_is_postponed_cannot_be_deleted);
async fn an_event_that_is_postponed_cannot_be_deleted(shop: &Shop) {
    publish(&shop.database, 3).await;
    deliver_up_to(&dispatcher(&shop.database, Subscriber::new("fails").on(note_but_3)), &shop.database, 0)
        .await;
    assert_eq!(postponed(&shop.database).await, 1);
    let delete = shop.database.write((), async |work, ()| work.execute("DELETE FROM outbox", &[]).await);
    let deleted: Result<u64, DatabaseError> = delete.await;
    assert!(matches!(deleted, Err(DatabaseError::ForeignKey(_))), "{deleted:?}");
}

on_both_engines!(
    events_are_replayed_in_their_order_and_before_later_ones,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn events_are_replayed_in_their_order_and_before_later_ones(shop: &Shop) {
    let database = &shop.database;
    let variant_id = VariantId(Uuid::nil());
    for available in 0..250 {
        publish_about(database, variant_id, available).await;
    }
    let dispatcher = noting(database);
    let notes = &dispatcher.subscribers()[0];
    assert_eq!(dispatcher.replay(notes, Replay::default()).await.unwrap(), 0, "none was read");
    deliver_up_to(&dispatcher, database, 250).await;
    execute(database, &["DELETE FROM counters WHERE name LIKE 'note-%'"]).await;

    assert_eq!(dispatcher.replay(notes, Replay::default()).await.unwrap(), 250);
    assert_eq!(dispatcher.replay(notes, Replay::default()).await.unwrap(), 0, "all are scheduled");
    publish_about(database, variant_id, 250).await;
    deliver_up_to(&dispatcher, database, 251).await;
    assert_in_order(database).await;

    let position = value(database, "SELECT seq FROM outbox WHERE type = 'stock.changed' LIMIT 1", &[]).await;
    let one = Replay { position: Some(position), ..Replay::default() };
    assert_eq!(dispatcher.replay(notes, one).await.unwrap(), 1);
    let of_another_type = Replay { event_type: Some("stock.depleted".into()), ..Replay::default() };
    assert_eq!(dispatcher.replay(notes, of_another_type).await.unwrap(), 0);
    let later = Replay { since: Some("2026-01-01T00:00:01Z".parse().unwrap()), ..Replay::default() };
    assert_eq!(dispatcher.replay(notes, later).await.unwrap(), 0);
}

on_both_engines!(a_subscriber_passes_over_events_of_other_types);
async fn a_subscriber_passes_over_events_of_other_types(shop: &Shop) {
    async fn never(_: &mut UnitOfWork, _: &UserErased, _: &Envelope) -> Result<(), Failure> {
        Err(Conflict::Stale.into())
    }
    for available in 0..3 {
        publish(&shop.database, available).await;
    }
    let dispatcher = dispatcher(&shop.database, Subscriber::new("erasures").on(never));
    assert_eq!(dispatcher.deliver(&CancellationToken::new()).await.unwrap(), 0);
    let cursors = "SELECT COUNT(*) FROM event_cursors";
    assert_eq!(value::<i64>(&shop.database, cursors, &[]).await, 0, "a few events move no cursor");
    execute(&shop.database, &[INSERT_MANY]).await;
    assert_eq!(dispatcher.deliver(&CancellationToken::new()).await.unwrap(), 0);
    let unread = "SELECT COUNT(*) FROM outbox WHERE seq > (SELECT MAX(seq) FROM event_cursors)";
    assert!(value::<i64>(&shop.database, unread, &[]).await < 1000, "the cursor is moved by a thousand");
}

/// Publishes 1,500 events.
const INSERT_MANY: &str = "INSERT INTO outbox (id, type, version, subject, occurred_at, data) \
     SELECT first.id, 'test', 1, 's', first.occurred_at, '{}' FROM outbox AS first, \
     (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1500) \
      SELECT n FROM numbers) AS many WHERE first.seq = (SELECT MIN(seq) FROM outbox)";
