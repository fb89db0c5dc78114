//! Events of a store over a broker: each subscriber handles every event once, in the order of its subject.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use undercroft::domain::events::{DurableEvent, StockChanged};
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::events::transports::Transport;
use undercroft::infrastructure::events::{
    Broker, Envelope, EventBus, EventDispatcher, MessageOutcome, MessageQueueEvent, Mode, RELAY, Receiver,
    Relay, Replay, Subscriber,
};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{Database, DatabaseError, UnitOfWork};
use uuid::Uuid;

use crate::support::brokers::TestBroker;
use crate::support::store::value;
use crate::support::{Shop, ShopOptions};

/// The group of another service, which receives the events of the store.
pub const OTHER: &str = "other service";

/// The relay, the receiver and the dispatcher of one process.
pub struct Process {
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Process {
    /// Starts a process whose subscriber is `notes`.
    pub fn start(database: &Database, transport: Arc<dyn Transport>, mode: Mode) -> Self {
        Self::start_with(database, transport, mode, noting())
    }

    /// Starts a process with a subscriber.
    pub fn start_with(
        database: &Database,
        transport: Arc<dyn Transport>,
        mode: Mode,
        subscriber: Subscriber,
    ) -> Self {
        let stop = CancellationToken::new();
        let groups = vec![subscriber.name().to_owned(), OTHER.to_owned()];
        let dispatcher = EventDispatcher::new(database.clone(), [subscriber]).behind_broker();
        let broker = Broker::new(transport, mode, EventBus::default());
        let relay = Relay::new(database.clone(), broker.clone(), groups);
        let receiver = Receiver::new(dispatcher, broker);
        let (end, ends) = (stop.clone(), stop.clone());
        let relaying = tokio::spawn(async move {
            relay.run(&end).await;
            relay.release().await.unwrap();
        });
        let receiving = tokio::spawn(async move { receiver.run(&ends).await });
        Self { stop, tasks: vec![relaying, receiving] }
    }

    /// Ends the process without a trace in the database, as a crash does.
    pub async fn crash(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// Ends the process, and waits until it has ended.
    pub async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// The subscriber `notes`.
pub fn noting() -> Subscriber {
    Subscriber::new("notes").on(note)
}

/// Writes a row for each event: its subject and number, and the number of rows of the subject before.
pub async fn note(work: &mut UnitOfWork, event: &StockChanged, envelope: &Envelope) -> Result<(), Failure> {
    let subject = envelope.subject.replace('-', "");
    let sql = "INSERT INTO counters (name, value) SELECT $1, COUNT(*) FROM counters WHERE name LIKE $2";
    let name = format!("note-{subject}-{}", event.available.unwrap());
    work.execute(sql, &[name.into(), format!("note-{subject}-%").into()]).await?;
    Ok(())
}

/// Publishes numbered events about a variant.
pub async fn publish(database: &Database, variant: u128, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let published: Result<(), DatabaseError> = database
            .write((variant, number), async |work, &(variant, number)| {
                let variant_id = VariantId(Uuid::from_u128(variant));
                work.publish(&StockChanged { variant_id, available: Some(number) }).await
            })
            .await;
        published.unwrap();
    }
}

/// Waits until a statement selects a number.
pub async fn wait_for(database: &Database, sql: &str, expected: i64) {
    for _ in 0..1200 {
        if value::<i64>(database, sql, &[]).await == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(value::<i64>(database, sql, &[]).await, expected, "after a minute: {sql}");
}

/// Waits until this number of events has been handled, and checks the order within each subject.
pub async fn wait_for_notes(database: &Database, expected: i64) {
    wait_for(database, "SELECT COUNT(*) FROM counters WHERE name LIKE 'note-%'", expected).await;
    // a name is `note-`, 32 digits of the subject, `-`, and the number
    let out_of_order = "SELECT COUNT(*) FROM counters \
                        WHERE name LIKE 'note-%' AND CAST(SUBSTR(name, 39) AS BIGINT) <> value";
    assert_eq!(value::<i64>(database, out_of_order, &[]).await, 0);
}

/// Checks that the subscriber has read everything, and that its inbox is empty.
pub async fn assert_read(database: &Database) {
    wait_for(database, "SELECT COUNT(*) FROM inbox", 0).await;
    let unread = "SELECT COUNT(*) FROM outbox WHERE type = 'stock.changed' \
                  AND seq > (SELECT seq FROM event_cursors WHERE subscriber = 'notes')";
    assert_eq!(value::<i64>(database, unread, &[]).await, 0);
}

on_each_broker_and_engine!(several_processes_handle_every_event_once_and_in_order);
async fn several_processes_handle_every_event_once_and_in_order(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    publish(database, 1, 0..30).await;
    let processes = [Mode::Structured, Mode::Binary, Mode::Structured]
        .map(|mode| Process::start(database, broker.transport(), mode));
    let publishing: Vec<_> = (2..12)
        .map(|variant| {
            let database = database.clone();
            tokio::spawn(async move { publish(&database, variant, 0..30).await })
        })
        .collect();
    for publishing in publishing {
        publishing.await.unwrap();
    }
    wait_for_notes(database, 330).await;
    assert_read(database).await;
    for process in processes {
        process.end().await;
    }
    let relayed = format!(
        "SELECT COUNT(*) FROM outbox WHERE seq > (SELECT seq FROM event_cursors WHERE subscriber = '{RELAY}')"
    );
    wait_for(database, &relayed, 0).await;
}

on_each_broker_and_engine!(repeated_messages_are_handled_once);
async fn repeated_messages_are_handled_once(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    publish(database, 1, 0..20).await;
    let process = Process::start(database, broker.transport(), Mode::Binary);
    wait_for_notes(database, 20).await;
    // the same messages as if the broker repeated them, last first
    let dispatched = "SELECT id, seq, data FROM outbox ORDER BY seq DESC";
    let events: Vec<(Uuid, i64, String)> = rows(database, dispatched).await;
    for (id, position, data) in events {
        let (id, position) = (id.to_string(), format!("{position:020}"));
        let headers = broker.binary(&[
            ("specversion", "1.0"),
            ("id", &id),
            ("source", "/"),
            ("type", StockChanged::TYPE),
            ("sequence", &position),
        ]);
        broker.send(StockChanged::TYPE, &headers, data.as_bytes()).await;
    }
    publish(database, 1, 20..21).await;
    wait_for_notes(database, 21).await;
    assert_read(database).await;
    process.end().await;
}

async fn rows(database: &Database, sql: &str) -> Vec<(Uuid, i64, String)> {
    let sql = sql.replace("data", "CAST(data AS TEXT)");
    database.read().await.unwrap().all(&sql, &[]).await.unwrap()
}

on_each_broker_and_engine!(
    events_that_arrive_in_another_order_are_delivered_in_theirs,
    ShopOptions::manual_clock()
);
async fn events_that_arrive_in_another_order_are_delivered_in_theirs(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    for variant in 1..4 {
        publish(database, variant, 0..5).await;
    }
    let transport = broker.set_up(&["notes"]).await;
    let events: Vec<(Uuid, i64, String)> =
        rows(database, "SELECT id, seq, data FROM outbox ORDER BY seq DESC LIMIT 12").await;
    for (id, position, data) in events {
        let (id, position) = (id.to_string(), position.to_string());
        let attributes = [
            ("specversion", "1.0"),
            ("id", &id),
            ("source", "/"),
            ("type", StockChanged::TYPE),
            ("sequence", &position),
        ];
        broker.send(StockChanged::TYPE, &broker.binary(&attributes), data.as_bytes()).await;
    }
    let dispatcher = EventDispatcher::new(database.clone(), [noting()]).behind_broker();
    let (mode, bus) = (Mode::Structured, EventBus::default());
    let mut signals = bus.subscribe::<MessageQueueEvent>();
    let receiver = Receiver::new(dispatcher.clone(), Broker::new(transport, mode, bus));
    let stop = CancellationToken::new();
    let receiving = tokio::spawn({
        let stop = stop.clone();
        async move { receiver.run(&stop).await }
    });
    // the first three events of the first variant have not arrived, but the fourth has
    wait_for_notes(database, 15).await;
    assert_read(database).await;
    for _ in 0..12 {
        let outcome = signals.next().await.outcome;
        assert!(matches!(outcome, MessageOutcome::Acknowledged | MessageOutcome::Duplicate), "{outcome:?}");
    }
    stop.cancel();
    receiving.await.unwrap();
}

on_each_broker_and_engine!(
    an_event_that_no_broker_delivers_is_read_from_the_outbox,
    ShopOptions::manual_clock()
);
async fn an_event_that_no_broker_delivers_is_read_from_the_outbox(shop: &Shop, broker: &TestBroker) {
    let (database, stop) = (&shop.database, CancellationToken::new());
    let dispatcher = EventDispatcher::new(database.clone(), [noting()]).behind_broker();
    publish(database, 1, 0..3).await;
    assert_eq!(dispatcher.deliver(&stop).await.unwrap(), 0, "the broker delivers it");
    shop.clock().advance(SignedDuration::from_secs(31));
    publish(database, 2, 0..1).await;
    assert_eq!(dispatcher.deliver(&stop).await.unwrap(), 4);
    // the broker delivers them after all
    let process = Process::start(database, broker.transport(), Mode::Structured);
    publish(database, 2, 1..3).await;
    wait_for_notes(database, 6).await;
    assert_read(database).await;
    process.end().await;
}

on_each_broker_and_engine!(a_store_changes_between_its_database_and_a_broker);
async fn a_store_changes_between_its_database_and_a_broker(shop: &Shop, broker: &TestBroker) {
    let (database, stop) = (&shop.database, CancellationToken::new());
    let alone = EventDispatcher::new(database.clone(), [noting()]);
    let mut next = 0;
    for _ in 0..2 {
        publish(database, 1, next..next + 10).await;
        assert_eq!(alone.deliver(&stop).await.unwrap(), 10);
        publish(database, 1, next + 10..next + 20).await;
        let process = Process::start(database, broker.transport(), Mode::Structured);
        wait_for_notes(database, next + 20).await;
        process.end().await;
        next += 20;
    }
    assert_eq!(alone.deliver(&stop).await.unwrap(), 0);
    let replayed = alone.replay(&alone.subscribers()[0], Replay::default()).await.unwrap();
    assert_eq!(replayed, 40, "all of them have been read");
}

/// Fails once at number 1.
async fn note_or_fail(
    work: &mut UnitOfWork,
    event: &StockChanged,
    envelope: &Envelope,
) -> Result<(), Failure> {
    note(work, event, envelope).await?;
    let failed: i64 = work.one("SELECT COUNT(*) FROM postponed_events WHERE attempts > 0", &[]).await?;
    if event.available == Some(1) && failed == 0 {
        return Err(undercroft::infrastructure::exceptions::Conflict::Stale.into());
    }
    Ok(())
}

on_each_broker_and_engine!(a_handler_that_fails_is_retried_as_without_a_broker, ShopOptions::manual_clock());
async fn a_handler_that_fails_is_retried_as_without_a_broker(shop: &Shop, broker: &TestBroker) {
    let database = &shop.database;
    let subscriber = Subscriber::new("notes").on(note_or_fail);
    let dispatcher = EventDispatcher::new(database.clone(), [subscriber.clone()]).behind_broker();
    let process = Process::start_with(database, broker.transport(), Mode::Structured, subscriber);
    publish(database, 1, 0..4).await;
    publish(database, 2, 0..4).await;
    wait_for(database, "SELECT COUNT(*) FROM postponed_events", 3).await;
    wait_for(database, "SELECT COUNT(*) FROM counters WHERE name LIKE 'note-%'", 5).await;
    shop.clock().advance(SignedDuration::from_secs(5));
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    wait_for_notes(database, 8).await;
    process.end().await;
}
