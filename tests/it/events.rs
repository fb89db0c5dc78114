//! The outbox reaches every subscriber, in order, once in effect, whatever fails.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Mutex, oneshot};
use undercroft::domain::context::{Context, ManualClock, SystemIds};
use undercroft::domain::events::{DomainEvent, StockChanged, StockDepleted};
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::events::{Envelope, EventDispatcher, Subscriber};
use undercroft::infrastructure::exceptions::{Conflict, Failure};
use undercroft::infrastructure::repositories::{Database, Param, StoreError, UnitOfWork};

use crate::support::store::value;
use crate::support::{on_each_engine, on_each_engine_at};

const KINDS: &[&str] = &[StockChanged::TYPE];

async fn publish(database: &Database, available: i64) {
    let published: Result<(), StoreError> = database
        .write(move |unit_of_work| {
            Box::pin(async move {
                let variant_id = VariantId(unit_of_work.id());
                unit_of_work.publish(&StockChanged { variant_id, available }).await?;
                unit_of_work.publish(&StockDepleted { variant_id }).await
            })
        })
        .await;
    published.unwrap();
}

/// Notes what it is told, as a row a note.
async fn note(unit_of_work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    let StockChanged { available, .. } = event.event().unwrap();
    let sql = "INSERT INTO counters (name, value) SELECT $1, COUNT(*) FROM counters WHERE name LIKE 'note-%'";
    unit_of_work.execute(sql, &[Param::from(format!("note-{available:04}"))]).await?;
    Ok(())
}

/// Fails at number 3.
async fn note_but_3(unit_of_work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    note(unit_of_work, event).await?;
    let StockChanged { available, .. } = event.event().unwrap();
    if available == 3 { Err(Conflict::Stale.into()) } else { Ok(()) }
}

async fn notes(database: &Database) -> i64 {
    value(database, "SELECT COUNT(*) FROM counters WHERE name LIKE 'note-%'", &[]).await
}

/// Delivers until there are so many notes. On PostgreSQL an event waits for every transaction of the whole server that
/// began before it, so those of other tests too.
async fn deliver_until(dispatcher: &EventDispatcher, database: &Database, expected: i64) {
    for _ in 0..600 {
        dispatcher.deliver().await.unwrap();
        if notes(database).await >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(notes(database).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_handled_once_and_in_order_by_dispatchers_that_compete() {
    on_each_engine(|test| async move {
        let database = &test.database;
        for available in 0..250 {
            publish(database, available).await;
        }
        let subscriber =
            Subscriber::new("notes", KINDS, |unit_of_work, event| Box::pin(note(unit_of_work, event)));
        let dispatchers = (0..4).map(|_| {
            let dispatcher = EventDispatcher::new(database.clone(), vec![subscriber]);
            tokio::spawn(async move { dispatcher.deliver().await.unwrap() })
        });
        for dispatcher in dispatchers.collect::<Vec<_>>() {
            dispatcher.await.unwrap();
        }
        deliver_until(&EventDispatcher::new(database.clone(), vec![subscriber]), database, 250).await;
        let out_of_order = "SELECT COUNT(*) FROM counters \
                            WHERE name LIKE 'note-%' AND CAST(SUBSTR(name, 6) AS BIGINT) <> value";
        assert_eq!(value::<i64>(database, out_of_order, &[]).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_holds_back_its_subscriber_and_is_set_aside_in_the_end() {
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let ids = Arc::new(SystemIds::new(Arc::clone(&clock) as _));
    on_each_engine_at(Context { clock: Arc::clone(&clock) as _, ids }, |test| {
        let clock = Arc::clone(&clock);
        async move {
            let database = &test.database;
            for available in 0..6 {
                publish(database, available).await;
            }
            let fails = Subscriber::new("fails", KINDS, |unit_of_work, event| {
                Box::pin(note_but_3(unit_of_work, event))
            });
            let dispatcher = EventDispatcher::new(database.clone(), vec![fails]);
            deliver_until(&dispatcher, database, 3).await;
            let tries = "SELECT COALESCE(MAX(attempts), 0) FROM event_cursors";
            for tried in 1..8 {
                while value::<i64>(database, tries, &[]).await < tried {
                    dispatcher.deliver().await.unwrap();
                }
                assert_eq!(notes(database).await, 3);
                clock.advance(SignedDuration::from_hours(1));
            }
            deliver_until(&dispatcher, database, 5).await;
            let dead = "SELECT COUNT(*) FROM dead_letters WHERE subscriber = 'fails' AND attempts = 8";
            assert_eq!(value::<i64>(database, dead, &[]).await, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_transaction_commits_late_is_not_skipped() {
    on_each_engine(|test| async move {
        if test.url.starts_with("sqlite:") {
            return; // its writers stand in line: none can commit late
        }
        let database = test.database.clone();
        let (began, begun) = oneshot::channel::<()>();
        let (go, wait) = oneshot::channel::<()>();
        let signals = Arc::new(Mutex::new(Some((began, wait))));
        let late = tokio::spawn(async move {
            let published: Result<(), StoreError> = database
                .write(move |unit_of_work| {
                    let signals = Arc::clone(&signals);
                    Box::pin(async move {
                        let variant_id = VariantId(unit_of_work.id());
                        unit_of_work.publish(&StockChanged { variant_id, available: 0 }).await?;
                        if let Some((began, wait)) = signals.lock().await.take() {
                            began.send(()).unwrap();
                            wait.await.unwrap();
                        }
                        Ok(())
                    })
                })
                .await;
            published.unwrap();
        });
        begun.await.unwrap();
        let database = &test.database;
        publish(database, 1).await;
        let subscriber =
            Subscriber::new("notes", KINDS, |unit_of_work, event| Box::pin(note(unit_of_work, event)));
        let dispatcher = EventDispatcher::new(database.clone(), vec![subscriber]);
        dispatcher.deliver().await.unwrap();
        assert_eq!(notes(database).await, 0, "what committed early waits for what began before it");
        go.send(()).unwrap();
        late.await.unwrap();
        deliver_until(&dispatcher, database, 2).await;
    })
    .await;
}
