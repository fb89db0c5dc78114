//! Events are delivered as soon as no event before them can be published, although PostgreSQL's transactions overlap.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use undercroft::domain::events::StockChanged;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::events::{Envelope, EventDispatcher, Subscriber};
use undercroft::infrastructure::exceptions::{Conflict, Failure};
use undercroft::infrastructure::repositories::{Database, DatabaseError, UnitOfWork, next_number};

use super::{assert_in_order, deliver_up_to, notes, noting, publish};
use crate::support::store::value;
use crate::support::{Shop, ShopOptions, admin, unique};

/// Publishes in a transaction that began, by writing or by publishing, before `meanwhile`, and continues after it.
async fn publish_around(shop: &Shop, before: Option<i64>, after: Option<i64>, meanwhile: impl AsyncFnOnce()) {
    let database = shop.database.clone();
    let variant_id = VariantId(uuid::Uuid::nil());
    let (began, begun) = oneshot::channel::<()>();
    let (resume, resumed) = oneshot::channel::<()>();
    let signals = Arc::new(Mutex::new(Some((began, resumed))));
    let late = tokio::spawn(async move {
        let published: Result<(), DatabaseError> = database
            .write((variant_id, before, after, signals), async |work, given| {
                let (variant_id, before, after, signals) = (given.0, given.1, given.2, &given.3);
                if let Some(available) = before {
                    work.publish(&StockChanged { variant_id, available: Some(available) }).await?;
                }
                // sends the event and assigns the transaction its number
                next_number(work, "late").await?;
                if let Some((began, resumed)) = signals.lock().await.take() {
                    began.send(()).unwrap();
                    resumed.await.unwrap();
                }
                if let Some(available) = after {
                    work.publish(&StockChanged { variant_id, available: Some(available) }).await?;
                }
                Ok(())
            })
            .await;
        published.unwrap();
    });
    begun.await.unwrap();
    meanwhile().await;
    resume.send(()).unwrap();
    late.await.unwrap();
}

// SQLite has one writer: no transaction commits late.

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_transaction_commits_late_is_not_skipped() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let dispatcher = noting(&shop.database);
    publish_around(&shop, Some(0), None, async || {
        publish(&shop.database, 1).await;
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        assert_eq!(
            notes(&shop.database).await,
            0,
            "an event waits for transactions that published before it"
        );
    })
    .await;
    deliver_up_to(&dispatcher, &shop.database, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_publishes_behind_shorter_ones() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    publish_around(&shop, None, Some(2), async || {
        for available in 0..2 {
            publish(&shop.database, available).await;
        }
    })
    .await;
    publish(&shop.database, 3).await;
    deliver_up_to(&noting(&shop.database), &shop.database, 4).await;
    assert_in_order(&shop.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_wait_for_a_transaction_that_publishes_nothing() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let write = "BEGIN; INSERT INTO counters (name, value) VALUES ('idle', 1)";
    let idle = OpenSession::after(&shop.url, write).await;
    publish(&shop.database, 0).await;
    deliver_up_to(&noting(&shop.database), &shop.database, 1).await;
    idle.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_wait_for_transactions_of_another_database() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let other = unique("undercroft_other");
    admin(&shop.url, &format!("CREATE DATABASE {other} TEMPLATE template0")).await;
    let mut config: tokio_postgres::Config = shop.url.parse().unwrap();
    config.dbname(&other);
    let outbox: i64 = value(&shop.database, "SELECT 'outbox'::regclass::oid::bigint", &[]).await;
    // as a publisher of a table with the same oid
    let lock = format!("BEGIN; SELECT pg_current_xact_id(), pg_advisory_xact_lock_shared({outbox}, 0)");
    let session = OpenSession::of(&config, &lock).await;
    publish(&shop.database, 0).await;
    deliver_up_to(&noting(&shop.database), &shop.database, 1).await;
    session.end().await;
    admin(&shop.url, &format!("DROP DATABASE {other}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_before_a_savepoint_hold_up_later_ones_after_a_rollback_to_it() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let insert = |name: &str| {
        format!(
            "INSERT INTO outbox (id, type, version, subject, occurred_at, data) \
             VALUES (gen_random_uuid(), '{name}', 1, 's', now(), '{{}}')"
        )
    };
    let statements =
        ["BEGIN", "SAVEPOINT s", &insert("a"), "ROLLBACK TO s", &insert("b"), "SAVEPOINT s", &insert("c")];
    let session = OpenSession::after(&shop.url, &(statements.join("; ") + "; ROLLBACK TO s")).await;
    publish(&shop.database, 0).await;
    let dispatcher = noting(&shop.database);
    deliver_up_to(&dispatcher, &shop.database, 0).await;
    session.commit().await;
    deliver_up_to(&dispatcher, &shop.database, 1).await;
}

/// The number of events that each of the publishers publishes.
const EACH: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn no_event_of_many_publishers_is_skipped_or_out_of_order() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let idle =
        OpenSession::after(&shop.url, "BEGIN; INSERT INTO counters (name, value) VALUES ('idle', 1)").await;
    let publishers: Vec<_> =
        (0..64).map(|subject| tokio::spawn(publish_all(shop.database.clone(), subject))).collect();
    let dispatcher =
        EventDispatcher::new(shop.database.clone(), [Subscriber::new("notes").on(note_of_subject)]);
    let stop = CancellationToken::new();
    while !publishers.iter().all(tokio::task::JoinHandle::is_finished) {
        dispatcher.deliver(&stop).await.unwrap();
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    deliver_up_to(&dispatcher, &shop.database, 64 * EACH).await;
    let out_of_order = "SELECT COUNT(*) FROM counters \
                        WHERE name LIKE 'note-%' AND split_part(name, '-', 3)::bigint <> value";
    assert_eq!(value::<i64>(&shop.database, out_of_order, &[]).await, 0);
    idle.end().await;
}

/// Publishes numbered events of a subject, in transactions of random length of which some are rolled back.
async fn publish_all(database: Database, subject: u128) {
    let variant_id = VariantId(uuid::Uuid::from_u128(subject));
    for number in 0..EACH {
        for fails in [number % 5 == 0, false] {
            let published: Result<(), Failure> = database
                .write((variant_id, number, fails), async |work, &(variant_id, number, fails)| {
                    let mut random = [0];
                    work.secret(&mut random);
                    work.publish(&StockChanged { variant_id, available: Some(number) }).await?;
                    // sends the event
                    work.one::<i64>("SELECT 1::bigint", &[]).await?;
                    tokio::time::sleep(Duration::from_micros(u64::from(random[0]) * 20)).await;
                    if fails { Err(Conflict::Stale.into()) } else { Ok(()) }
                })
                .await;
            assert_eq!(published.is_err(), fails);
            if !fails {
                break;
            }
        }
    }
}

/// Writes a row for each event, numbered in the order of delivery within its subject.
async fn note_of_subject(
    work: &mut UnitOfWork,
    event: &StockChanged,
    envelope: &Envelope,
) -> Result<(), Failure> {
    let subject = envelope.subject.replace('-', "");
    let sql = "INSERT INTO counters (name, value) SELECT $1, COUNT(*) FROM counters WHERE name LIKE $2";
    let name = format!("note-{subject}-{}", event.available.unwrap());
    work.execute(sql, &[name.into(), format!("note-{subject}-%").into()]).await?;
    Ok(())
}

/// A session of PostgreSQL in an open transaction.
struct OpenSession {
    client: tokio_postgres::Client,
    connection: tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl OpenSession {
    async fn after(url: &str, statements: &str) -> Self {
        Self::of(&url.parse().unwrap(), statements).await
    }

    /// Connects and executes these statements.
    async fn of(config: &tokio_postgres::Config, statements: &str) -> Self {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
        Self { client, connection }
    }

    async fn commit(self) {
        self.client.batch_execute("COMMIT").await.unwrap();
        self.end().await;
    }

    async fn end(self) {
        drop(self.client);
        self.connection.await.unwrap().unwrap();
    }
}
