//! The outbox reaches every subscriber, in order, once in effect, whatever fails.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::domain::events::{DomainEvent, StockChanged, StockDepleted};
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::events::{Envelope, EventDispatcher, Subscriber};
use undercroft::infrastructure::exceptions::{Conflict, Failure};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Param, Setup, UnitOfWork};

use crate::support::store::{execute, value};
use crate::support::{Shop, ShopOptions};

const KINDS: &[&str] = &[StockChanged::TYPE];

async fn publish(database: &Database, available: i64) {
    let published: Result<(), DatabaseError> = database
        .write_boxed(move |work| {
            Box::pin(async move {
                let variant_id = VariantId(work.id());
                work.publish(&StockChanged { variant_id, available }).await?;
                work.publish(&StockDepleted { variant_id }).await
            })
        })
        .await;
    published.unwrap();
}

/// Notes what it is told, as a row a note.
async fn note(work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    let Some(StockChanged { available, .. }) = event.event()? else { return Ok(()) };
    let sql = "INSERT INTO counters (name, value) SELECT $1, COUNT(*) FROM counters WHERE name LIKE 'note-%'";
    work.execute(sql, &[Param::from(format!("note-{available:04}"))]).await?;
    Ok(())
}

/// Fails at number 3.
async fn note_but_3(work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    note(work, event).await?;
    let Some(StockChanged { available, .. }) = event.event()? else { return Ok(()) };
    if available == 3 { Err(Conflict::Stale.into()) } else { Ok(()) }
}

async fn notes(database: &Database) -> i64 {
    value(database, "SELECT COUNT(*) FROM counters WHERE name LIKE 'note-%'", &[]).await
}

/// What was noted came in the order of its numbers, from 0.
async fn in_order(database: &Database) {
    let out_of_order = "SELECT COUNT(*) FROM counters \
                        WHERE name LIKE 'note-%' AND CAST(SUBSTR(name, 6) AS BIGINT) <> value";
    assert_eq!(value::<i64>(database, out_of_order, &[]).await, 0);
}

/// A dispatcher for one subscriber, who notes.
fn noting(database: &Database) -> EventDispatcher {
    let subscriber = Subscriber::new("notes", KINDS, |work, event| Box::pin(note(work, event)));
    EventDispatcher::new(database.clone(), vec![subscriber])
}

/// Delivers until there are so many notes. On PostgreSQL an event waits for every transaction of the whole server that
/// began before it, so those of other tests too.
async fn deliver_until(dispatcher: &EventDispatcher, database: &Database, expected: i64) {
    for _ in 0..600 {
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        if notes(database).await >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(notes(database).await, expected);
}

on_both_engines!(who_is_told_to_stop_delivers_nothing_more);
async fn who_is_told_to_stop_delivers_nothing_more(shop: &Shop) {
    publish(&shop.database, 1).await;
    let dispatcher = noting(&shop.database);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(dispatcher.deliver(&stop).await.unwrap(), 0);
    deliver_until(&dispatcher, &shop.database, 1).await;
}

on_both_engines!(every_event_is_handled_once_and_in_order_by_dispatchers_that_compete);
async fn every_event_is_handled_once_and_in_order_by_dispatchers_that_compete(shop: &Shop) {
    let database = &shop.database;
    for available in 0..250 {
        publish(database, available).await;
    }
    let subscriber = Subscriber::new("notes", KINDS, |work, event| Box::pin(note(work, event)));
    let dispatchers = (0..4).map(|_| {
        let dispatcher = EventDispatcher::new(database.clone(), vec![subscriber]);
        tokio::spawn(async move { dispatcher.deliver(&CancellationToken::new()).await.unwrap() })
    });
    for dispatcher in dispatchers.collect::<Vec<_>>() {
        dispatcher.await.unwrap();
    }
    deliver_until(&EventDispatcher::new(database.clone(), vec![subscriber]), database, 250).await;
    in_order(database).await;
}

on_both_engines!(
    an_event_that_fails_holds_back_its_subscriber_and_is_set_aside_in_the_end,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn an_event_that_fails_holds_back_its_subscriber_and_is_set_aside_in_the_end(shop: &Shop) {
    let database = &shop.database;
    for available in 0..6 {
        publish(database, available).await;
    }
    let fails = Subscriber::new("fails", KINDS, |work, event| Box::pin(note_but_3(work, event)));
    let dispatcher = EventDispatcher::new(database.clone(), vec![fails]);
    deliver_until(&dispatcher, database, 3).await;
    let tries = "SELECT COALESCE(MAX(attempts), 0) FROM event_cursors";
    for tried in 1..8 {
        while value::<i64>(database, tries, &[]).await < tried {
            dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        }
        assert_eq!(notes(database).await, 3);
        shop.clock().advance(SignedDuration::from_hours(1));
    }
    deliver_until(&dispatcher, database, 5).await;
    let dead = "SELECT COUNT(*) FROM dead_letters WHERE subscriber = 'fails' AND attempts = 8";
    assert_eq!(value::<i64>(database, dead, &[]).await, 1);
}

on_both_engines!(
    an_event_that_nobody_can_read_is_set_aside_and_not_passed_over,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn an_event_that_nobody_can_read_is_set_aside_and_not_passed_over(shop: &Shop) {
    let database = &shop.database;
    publish(database, 0).await;
    execute(database, &["UPDATE outbox SET data = '{}'"]).await;
    publish(database, 1).await;
    let dispatcher = noting(database);
    for _ in 0..600 {
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        shop.clock().advance(SignedDuration::from_hours(1));
        if notes(database).await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let dead = "SELECT COUNT(*) FROM dead_letters WHERE subscriber = 'notes' AND attempts = 8";
    assert_eq!(value::<i64>(database, dead, &[]).await, 1);
}

on_both_engines!(where_there_is_nothing_to_deliver_nothing_is_written);
async fn where_there_is_nothing_to_deliver_nothing_is_written(shop: &Shop) {
    let dispatcher = noting(&shop.database);
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM event_cursors", &[]).await, 0);
}

on_both_engines!(
    what_everybody_has_read_is_cleared_away_after_a_week,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn what_everybody_has_read_is_cleared_away_after_a_week(shop: &Shop) {
    let (database, dispatcher) = (&shop.database, noting(&shop.database));
    for available in 0..3 {
        publish(database, available).await;
    }
    shop.clock().advance(SignedDuration::from_hours(8 * 24));
    assert_eq!(dispatcher.forget(100).await.unwrap(), 0, "nobody has read them");
    deliver_until(&dispatcher, database, 3).await;
    execute(
        database,
        &["INSERT INTO dead_letters (subscriber, seq, attempts, error, died_at) \
           SELECT 'notes', MIN(seq), 8, '', MIN(occurred_at) FROM outbox"],
    )
    .await;
    publish(database, 3).await;
    // on PostgreSQL the last of them is read once the other transactions of the server have ended
    let mut forgotten = 0;
    for _ in 0..600 {
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        forgotten += dispatcher.forget(2).await.unwrap();
        if forgotten == 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(forgotten, 5, "all but the one that was set aside");
    let left = "SELECT COUNT(*) FROM outbox";
    assert_eq!(value::<i64>(database, left, &[]).await, 3, "and the two that happened today");
    deliver_until(&dispatcher, database, 4).await;
    in_order(database).await;
}

/// Publishes in a transaction that began, by writing or by publishing, before `meanwhile`, and goes on after it.
async fn publish_around(shop: &Shop, before: Option<i64>, after: Option<i64>, meanwhile: impl AsyncFnOnce()) {
    let database = shop.database.clone();
    let variant_id = VariantId(uuid::Uuid::nil());
    let (began, begun) = oneshot::channel::<()>();
    let (go, wait) = oneshot::channel::<()>();
    let signals = Arc::new(Mutex::new(Some((began, wait))));
    let late = tokio::spawn(async move {
        let published: Result<(), DatabaseError> = database
            .write_boxed(move |work| {
                let signals = Arc::clone(&signals);
                Box::pin(async move {
                    work.exclusive_lock("late").await?;
                    if let Some(available) = before {
                        work.publish(&StockChanged { variant_id, available }).await?;
                    }
                    if let Some((began, wait)) = signals.lock().await.take() {
                        began.send(()).unwrap();
                        wait.await.unwrap();
                    }
                    if let Some(available) = after {
                        work.publish(&StockChanged { variant_id, available }).await?;
                    }
                    Ok(())
                })
            })
            .await;
        published.unwrap();
    });
    begun.await.unwrap();
    meanwhile().await;
    go.send(()).unwrap();
    late.await.unwrap();
}

// On SQLite writers stand in line: none can commit late.

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_transaction_commits_late_is_not_skipped() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let dispatcher = noting(&shop.database);
    publish_around(&shop, Some(0), None, async || {
        publish(&shop.database, 1).await;
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        assert_eq!(notes(&shop.database).await, 0, "what committed early waits for what began before it");
    })
    .await;
    deliver_until(&dispatcher, &shop.database, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_began_early_publishes_behind_those_that_ended_meanwhile() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    publish_around(&shop, None, Some(2), async || {
        for available in 0..2 {
            publish(&shop.database, available).await;
        }
    })
    .await;
    publish(&shop.database, 3).await;
    deliver_until(&noting(&shop.database), &shop.database, 4).await;
    in_order(&shop.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_in_another_cluster_that_a_backup_is_restored_to() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    for available in 0..3 {
        publish(&shop.database, available).await;
    }
    deliver_until(&noting(&shop.database), &shop.database, 3).await;
    for available in 3..5 {
        publish(&shop.database, available).await;
    }
    // as in a backup of a cluster that has come further than this one
    execute(
        &shop.database,
        &["UPDATE outbox SET tx = tx + 1000000000000", "UPDATE event_cursors SET tx = tx + 1000000000000"],
    )
    .await;
    let restored = Database::open(&shop.url, Context::system(), Setup::Never).await.unwrap();
    publish(&restored, 5).await;
    deliver_until(&noting(&restored), &restored, 6).await;
    in_order(&restored).await;
}
