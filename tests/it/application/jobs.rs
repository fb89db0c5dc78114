//! The worker runs all due work at its start, and reports jobs that failed; what a process without one does.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use undercroft::application::jobs::job_queue;
use undercroft::application::jobs::worker::{accompany, work};
use undercroft::domain::payment::{OperationKind, OperationStatus};
use undercroft::domain::user::{Role, Session};
use undercroft::infrastructure::repositories::DatabaseError;

use crate::support::builders::user;
use crate::support::orders::Sale;
use crate::support::store::{execute, fail_placed_orders, value};
use crate::support::{Shop, ShopOptions};

/// Works until a count is 0.
async fn work_until_none(shop: &Shop, count: &str) {
    let stop = CancellationToken::new();
    let working = tokio::spawn(work(shop.store.clone(), stop.clone()));
    for _ in 0..600 {
        if value::<i64>(&shop.database, count, &[]).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(value::<i64>(&shop.database, count, &[]).await, 0);
    stop.cancel();
    working.await.unwrap();
}

on_both_engines!(all_open_payments_are_recovered_at_the_start);
async fn all_open_payments_are_recovered_at_the_start(shop: &Shop) {
    let variant = shop.product().price(1000).stock(300).create().await;
    for _ in 0..120 {
        Sale::of(&shop.store, variant, "tok_requires_action").await;
    }
    work_until_none(shop, "SELECT COUNT(*) FROM payments WHERE attempts = 0").await;
}

on_both_engines!(a_process_without_a_worker_refunds_a_cancelled_order_at_once);
async fn a_process_without_a_worker_refunds_a_cancelled_order_at_once(shop: &Shop) {
    let sale = Sale::begin(shop, 5, "tok_ok").await;
    let stop = CancellationToken::new();
    let accompanied = tokio::spawn(accompany(shop.store.clone(), stop.clone()));
    sale.cancel().await;
    let refunded = async {
        while sale.operations(OperationKind::Refund).await[0].status != OperationStatus::Succeeded {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // sooner than the recovery, which no one runs here
    tokio::time::timeout(Duration::from_secs(20), refunded).await.expect("the refund in a moment");
    stop.cancel();
    accompanied.await.unwrap();
}

on_both_engines!(all_expired_sessions_are_deleted_at_the_start);
async fn all_expired_sessions_are_deleted_at_the_start(shop: &Shop) {
    let user_id = shop.customer().await;
    let inserted: Result<(), DatabaseError> = shop
        .database
        .write(user_id, async |work, &user_id| {
            let now = work.now();
            for number in 0..2_500_u32 {
                let token_hash = number.to_be_bytes().to_vec();
                work.insert(&Session::new(token_hash, user_id, now, now)).await?;
            }
            Ok(())
        })
        .await;
    inserted.unwrap();
    work_until_none(shop, "SELECT COUNT(*) FROM sessions").await;
}

on_both_engines!(
    a_check_that_finds_violated_rules_notifies_the_administrators,
    ShopOptions::default().unchecked("the test violates a rule")
);
async fn a_check_that_finds_violated_rules_notifies_the_administrators(shop: &Shop) {
    user(&shop.store, Role::Admin).await;
    shop.product().price(1000).stock(3).create().await;
    execute(&shop.database, &["UPDATE inventory SET reserved = 1"]).await;
    job_queue(&shop.store).run("check_consistency", serde_json::json!({}), None).await.unwrap();
    work_until_none(shop, "SELECT 1 - COUNT(*) FROM notifications WHERE kind = 'job_failed'").await;
    let error = "SELECT error FROM jobs WHERE name = 'check_consistency' AND status = 'failed'";
    let error: String = value(&shop.database, error, &[]).await;
    assert!(error.contains("the reserved stock is the sum of the reservations (1 rows)"), "{error}");
}

on_both_engines!(
    a_job_retries_the_dead_letters_of_a_subscriber,
    ShopOptions::default().unchecked("the test makes dead letters")
);
async fn a_job_retries_the_dead_letters_of_a_subscriber(shop: &Shop) {
    for _ in 0..3 {
        Sale::begin(shop, 5, "tok_ok").await;
    }
    fail_placed_orders(&shop.database).await;
    execute(
        &shop.database,
        &["UPDATE dead_letters SET subscriber = 'gone' WHERE seq = (SELECT MIN(seq) FROM dead_letters)"],
    )
    .await;
    let job = job_queue(&shop.store).run("retry_dead_letters", serde_json::json!({}), None).await.unwrap();
    work_until_none(shop, "SELECT COUNT(*) FROM dead_letters WHERE subscriber <> 'gone'").await;
    let job = job_queue(&shop.store).job(job.id).await.unwrap();
    assert!(job.attempts >= 1, "{job:?}");
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM dead_letters", &[]).await, 1);
}
