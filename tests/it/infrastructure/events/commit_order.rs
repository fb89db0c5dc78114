//! Events are delivered in the order of commits: PostgreSQL's transactions overlap, and may move to another cluster.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::domain::events::StockChanged;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup, next_number};

use super::{assert_in_order, deliver_until, notes, noting, publish};
use crate::support::store::execute;
use crate::support::{Shop, ShopOptions};

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
        assert_eq!(notes(&shop.database).await, 0, "an event waits for transactions that began before it");
    })
    .await;
    deliver_until(&dispatcher, &shop.database, 2).await;
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
    deliver_until(&noting(&shop.database), &shop.database, 4).await;
    assert_in_order(&shop.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_continue_after_a_restore_into_another_cluster() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    for available in 0..3 {
        publish(&shop.database, available).await;
    }
    deliver_until(&noting(&shop.database), &shop.database, 3).await;
    for available in 3..5 {
        publish(&shop.database, available).await;
    }
    // as in a backup of a cluster with higher transaction numbers
    execute(
        &shop.database,
        &["UPDATE outbox SET tx = tx + 1000000000000", "UPDATE event_cursors SET tx = tx + 1000000000000"],
    )
    .await;
    let restored = Database::open(&shop.url, Context::system(), Setup::Never).await.unwrap();
    publish(&restored, 5).await;
    deliver_until(&noting(&restored), &restored, 6).await;
    assert_in_order(&restored).await;
}
