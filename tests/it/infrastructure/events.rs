//! Events are delivered to every subscriber in order, and each handler takes effect once.

mod cloud_event;
mod commit_order;
mod documentation;
mod example;
mod feed;
mod inbox;
mod jobs;
mod postponed;
mod transports;

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::domain::events::{DurableEvent, StockChanged, StockDepleted, UnreadableEvent};
use undercroft::domain::ids::{DeadLetterId, VariantId};
use undercroft::infrastructure::events::{Envelope, EventDispatcher, Subscriber};
use undercroft::infrastructure::exceptions::{Conflict, Failure, NotFound};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Param, Setup, UnitOfWork};
use uuid::Uuid;

use crate::support::store::{execute, value};
use crate::support::{Shop, ShopOptions, eventually};

async fn publish(database: &Database, available: i64) {
    publish_about(database, VariantId(Uuid::from_u128(1 + u128::from(available.unsigned_abs()))), available)
        .await;
}

async fn publish_about(database: &Database, variant_id: VariantId, available: i64) {
    let published: Result<(), DatabaseError> = database
        .write((variant_id, available), async |work, &(variant_id, available)| {
            work.publish(&StockChanged { variant_id, available: Some(available) }).await?;
            work.publish(&StockDepleted { variant_id }).await
        })
        .await;
    published.unwrap();
}

/// Writes a row for each event, numbered in the order of delivery.
async fn note(work: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
    write_note(work, event.available.unwrap()).await
}

/// Fails at number 3.
async fn note_but_3(work: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
    write_note(work, event.available.unwrap()).await?;
    if event.available == Some(3) { Err(Conflict::Stale.into()) } else { Ok(()) }
}

async fn write_note(work: &mut UnitOfWork, number: i64) -> Result<(), Failure> {
    let sql = "INSERT INTO counters (name, value) SELECT $1, COUNT(*) FROM counters WHERE name LIKE 'note-%'";
    work.execute(sql, &[Param::from(format!("note-{number:04}"))]).await?;
    Ok(())
}

async fn notes(database: &Database) -> i64 {
    value(database, "SELECT COUNT(*) FROM counters WHERE name LIKE 'note-%'", &[]).await
}

/// Checks that the notes have the order of their numbers, from 0.
async fn assert_in_order(database: &Database) {
    let out_of_order = "SELECT COUNT(*) FROM counters \
                        WHERE name LIKE 'note-%' AND CAST(SUBSTR(name, 6) AS BIGINT) <> value";
    assert_eq!(value::<i64>(database, out_of_order, &[]).await, 0);
}

/// A dispatcher for one subscriber, whose handler is `note`.
fn noting(database: &Database) -> EventDispatcher {
    dispatcher(database, Subscriber::new("notes").on(note))
}

fn dispatcher(database: &Database, subscriber: Subscriber) -> EventDispatcher {
    EventDispatcher::new(database.clone(), [subscriber])
}

/// Delivers, and checks that this number of notes is written then.
async fn deliver_up_to(dispatcher: &EventDispatcher, database: &Database, expected: i64) {
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    assert_eq!(notes(database).await, expected);
}

on_both_engines!(a_dispatcher_that_is_stopped_delivers_nothing);
async fn a_dispatcher_that_is_stopped_delivers_nothing(shop: &Shop) {
    publish(&shop.database, 1).await;
    let dispatcher = noting(&shop.database);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(dispatcher.deliver(&stop).await.unwrap(), 0);
    deliver_up_to(&dispatcher, &shop.database, 1).await;
}

on_both_engines!(every_event_is_handled_once_and_in_order_by_dispatchers_that_compete);
async fn every_event_is_handled_once_and_in_order_by_dispatchers_that_compete(shop: &Shop) {
    let database = &shop.database;
    for available in 0..250 {
        publish(database, available).await;
    }
    let dispatchers = (0..4).map(|_| {
        let dispatcher = noting(database);
        tokio::spawn(async move { dispatcher.deliver(&CancellationToken::new()).await.unwrap() })
    });
    for dispatcher in dispatchers.collect::<Vec<_>>() {
        dispatcher.await.unwrap();
    }
    deliver_up_to(&noting(database), database, 250).await;
    assert_in_order(database).await;
}

on_both_engines!(
    an_event_that_fails_is_retried_before_later_ones_of_its_subject_and_becomes_a_dead_letter,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn an_event_that_fails_is_retried_before_later_ones_of_its_subject_and_becomes_a_dead_letter(
    shop: &Shop,
) {
    let database = &shop.database;
    let variant_id = VariantId(Uuid::nil());
    for available in 0..6 {
        publish_about(database, variant_id, available).await;
    }
    let dispatcher = dispatcher(database, Subscriber::new("fails").on(note_but_3));
    deliver_up_to(&dispatcher, database, 3).await;
    for attempt in 1..8 {
        eventually("a further attempt", async || {
            dispatcher.deliver(&CancellationToken::new()).await.unwrap();
            attempts(database).await >= attempt
        })
        .await;
        assert_eq!(notes(database).await, 3);
        shop.clock().advance(SignedDuration::from_hours(1));
    }
    deliver_up_to(&dispatcher, database, 5).await;
    assert_eq!(postponed(database).await, 0);
    let dead = "SELECT COUNT(*) FROM dead_letters WHERE subscriber = 'fails' AND attempts = 8";
    assert_eq!(value::<i64>(database, dead, &[]).await, 1);

    let id: DeadLetterId = value(database, "SELECT id FROM dead_letters", &[]).await;
    let letter = dispatcher.retry(id).await.unwrap().unwrap();
    assert_eq!((letter.attempts, letter.event_type.as_str()), (9, StockChanged::TYPE));
    assert_eq!(notes(database).await, 5, "a failed attempt has no effect");
    let mended = EventDispatcher::new(database.clone(), [Subscriber::new("fails").on(note)]);
    assert_eq!(mended.retry(id).await.unwrap(), None);
    assert_eq!(notes(database).await, 6);
    let removed = mended.retry(id).await.unwrap_err();
    assert_eq!(removed.downcast_ref(), Some(&NotFound::DeadLetter));
}

/// Fails at number 40.
async fn note_but_40(work: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
    write_note(work, event.available.unwrap()).await?;
    if event.available == Some(40) { Err(Conflict::Stale.into()) } else { Ok(()) }
}

on_both_engines!(
    the_events_beside_one_that_fails_have_their_effect_once,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn the_events_beside_one_that_fails_have_their_effect_once(shop: &Shop) {
    for available in 0..50 {
        publish(&shop.database, available).await;
    }
    let dispatcher = dispatcher(&shop.database, Subscriber::new("fails").on(note_but_40));
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    assert_eq!(notes(&shop.database).await, 49);
    assert_eq!(attempts(&shop.database).await, 1, "of the event that failed");
}

on_both_engines!(a_database_that_is_unavailable_spends_no_attempts, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_database_that_is_unavailable_spends_no_attempts(shop: &Shop) {
    async fn fail(_: &mut UnitOfWork, _: &StockChanged, _: &Envelope) -> Result<(), Failure> {
        Err(DatabaseError::Unavailable("no route to the server".into()).into())
    }
    publish(&shop.database, 0).await;
    let failing = dispatcher(&shop.database, Subscriber::new("notes").on(fail));
    for _ in 0..10 {
        let _ = failing.deliver(&CancellationToken::new()).await;
        shop.clock().advance(SignedDuration::from_hours(1));
    }
    assert_eq!(attempts(&shop.database).await, 0);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM dead_letters", &[]).await, 0);
    deliver_up_to(&noting(&shop.database), &shop.database, 1).await;
}

on_both_engines!(a_subscriber_that_fails_delays_no_other, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_subscriber_that_fails_delays_no_other(shop: &Shop) {
    async fn fail(_: &mut UnitOfWork, _: &StockChanged, _: &Envelope) -> Result<(), Failure> {
        Err(DatabaseError::Unavailable("no route to the server".into()).into())
    }
    publish(&shop.database, 0).await;
    let subscribers = [Subscriber::new("fails").on(fail), Subscriber::new("notes").on(note)];
    let dispatcher = EventDispatcher::new(shop.database.clone(), subscribers);
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    assert_eq!(notes(&shop.database).await, 1);
}

#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    async fn fail(_: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
        assert_eq!(event.available, Some(0));
        Ok(())
    }
    let shop = Shop::on_sqlite(ShopOptions::at("2026-01-01T00:00:00Z")).await;
    publish(&shop.database, 0).await;
    publish(&shop.database, 1).await;
    let dispatcher = dispatcher(&shop.database, Subscriber::new("fails").on(fail));
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    assert_eq!(attempts(&shop.database).await, 1);
}

/// Returns the most failed attempts of a postponed event.
async fn attempts(database: &Database) -> i64 {
    value(database, "SELECT COALESCE(MAX(attempts), 0) FROM postponed_events", &[]).await
}

async fn postponed(database: &Database) -> i64 {
    value(database, "SELECT COUNT(*) FROM postponed_events", &[]).await
}

/// Publishes an event, changes it by a statement, and checks that it becomes a dead letter for this reason, while the
/// next one is delivered.
async fn check_dead_letter(shop: &Shop, change: &'static [&'static str], reason: &str) {
    let database = &shop.database;
    publish(database, 0).await;
    execute(database, change).await;
    publish(database, 1).await;
    let dispatcher = noting(database);
    for _ in 0..600 {
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        shop.clock().advance(SignedDuration::from_hours(1));
        if value::<i64>(database, "SELECT COUNT(*) FROM dead_letters", &[]).await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let dead = "SELECT error FROM dead_letters WHERE subscriber = 'notes' AND attempts = 8";
    let error = value::<String>(database, dead, &[]).await;
    assert!(error.contains(reason), "{error}");
    assert_eq!(notes(database).await, 1);
}

on_both_engines!(
    an_event_whose_data_is_malformed_becomes_a_dead_letter,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn an_event_whose_data_is_malformed_becomes_a_dead_letter(shop: &Shop) {
    let reason = "the data of stock.changed is malformed";
    check_dead_letter(shop, &["UPDATE outbox SET data = '{}'"], reason).await;
}

on_both_engines!(an_event_of_a_newer_version_becomes_a_dead_letter, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn an_event_of_a_newer_version_becomes_a_dead_letter(shop: &Shop) {
    let reason = "version 2 of stock.changed is not supported: this program knows version 1";
    check_dead_letter(shop, &["UPDATE outbox SET version = 2"], reason).await;
}

on_both_engines!(an_event_of_an_older_version_becomes_a_dead_letter, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn an_event_of_an_older_version_becomes_a_dead_letter(shop: &Shop) {
    let reason = "version 0 of stock.changed is not supported: this program knows version 1";
    check_dead_letter(shop, &["UPDATE outbox SET version = 0"], reason).await;
}

/// Version 2 of `stock.changed`, which decodes the data of version 1.
#[derive(serde::Serialize, serde::Deserialize)]
struct StockCounted {
    pieces: i64,
}

impl DurableEvent for StockCounted {
    const TYPE: &'static str = StockChanged::TYPE;
    const VERSION: i64 = 2;

    fn subject(&self) -> String {
        String::new()
    }

    fn decode(version: i64, data: &serde_json::Value) -> Result<Self, UnreadableEvent> {
        if version == 1 {
            return StockChanged::decode(1, data).map(|event| Self { pieces: event.available.unwrap() });
        }
        serde_json::from_value(data.clone())
            .map_err(|source| UnreadableEvent::Data { event_type: Self::TYPE, source })
    }
}

on_both_engines!(an_event_type_may_read_its_older_versions);
async fn an_event_type_may_read_its_older_versions(shop: &Shop) {
    async fn note_counted(work: &mut UnitOfWork, event: &StockCounted, _: &Envelope) -> Result<(), Failure> {
        write_note(work, event.pieces).await
    }
    publish(&shop.database, 0).await;
    let dispatcher = dispatcher(&shop.database, Subscriber::new("notes").on(note_counted));
    deliver_up_to(&dispatcher, &shop.database, 1).await;
    assert_in_order(&shop.database).await;
}

on_both_engines!(a_subscriber_has_handlers_for_several_types_of_events);
async fn a_subscriber_has_handlers_for_several_types_of_events(shop: &Shop) {
    async fn note_1(work: &mut UnitOfWork, _: &StockDepleted, _: &Envelope) -> Result<(), Failure> {
        write_note(work, 1).await
    }
    publish(&shop.database, 0).await;
    let dispatcher = dispatcher(&shop.database, Subscriber::new("notes").on(note).on(note_1));
    deliver_up_to(&dispatcher, &shop.database, 2).await;
    assert_in_order(&shop.database).await;
}

#[tokio::test]
#[should_panic(expected = "subscribers share a name")]
async fn two_subscribers_of_one_name_are_refused() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let subscriber = || Subscriber::new("notes").on(note);
    EventDispatcher::new(shop.database.clone(), [subscriber(), subscriber()]);
}

on_both_engines!(nothing_is_written_if_there_is_nothing_to_deliver);
async fn nothing_is_written_if_there_is_nothing_to_deliver(shop: &Shop) {
    let dispatcher = noting(&shop.database);
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM event_cursors", &[]).await, 0);
}

on_both_engines!(
    events_that_all_subscribers_have_read_are_deleted_after_a_week,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn events_that_all_subscribers_have_read_are_deleted_after_a_week(shop: &Shop) {
    let (database, dispatcher) = (&shop.database, noting(&shop.database));
    for available in 0..3 {
        publish(database, available).await;
    }
    shop.clock().advance(SignedDuration::from_hours(8 * 24));
    assert_eq!(dispatcher.purge(100).await.unwrap(), 0, "no subscriber has read them");
    deliver_up_to(&dispatcher, database, 3).await;
    execute(
        database,
        &["INSERT INTO dead_letters (id, subscriber, seq, event_id, event_type, subject, attempts, error, failed_at) \
           SELECT id, 'notes', seq, id, type, subject, 8, '', occurred_at FROM outbox ORDER BY seq LIMIT 1"],
    )
    .await;
    publish(database, 3).await;
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    let mut deleted = 0;
    for _ in 0..3 {
        deleted += dispatcher.purge(2).await.unwrap();
    }
    assert_eq!(deleted, 5, "all but the dead letter");
    let left = "SELECT COUNT(*) FROM outbox";
    assert_eq!(value::<i64>(database, left, &[]).await, 3, "and the two events of today");
    deliver_up_to(&dispatcher, database, 4).await;
    assert_in_order(database).await;
}

#[tokio::test]
async fn a_commit_of_another_process_ends_the_wait_for_events() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let other = Database::open(&shop.url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    let woken = async {
        loop {
            other.committed().notified().await;
            if noting(&other).deliver(&CancellationToken::new()).await.unwrap() > 0 {
                break;
            }
        }
    };
    let publish_repeatedly = async {
        for number in 0..20 {
            publish(&shop.database, number).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = woken => {}
        () = other.listen() => {}
        () = publish_repeatedly => {}
    }
    assert!(notes(&other).await > 0);
}
