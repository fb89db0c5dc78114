//! What the worker finds when it starts it does whole, however much it is.

use super::*;
use tokio_util::sync::CancellationToken;
use undercroft::application::jobs::worker::work;
use undercroft::domain::user::Session;

/// Works until a count comes to nothing.
async fn work_until_none(database: &Database, counted: &str) {
    let store = store(database, policy());
    let stop = CancellationToken::new();
    let working = tokio::spawn(work(store, stop.clone()));
    for _ in 0..600 {
        if value::<i64>(database, counted, &[]).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(value::<i64>(database, counted, &[]).await, 0);
    stop.cancel();
    working.await.unwrap();
}

on_both_engines!(every_open_payment_is_taken_up_at_the_start);
async fn every_open_payment_is_taken_up_at_the_start(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(300).create().await;
    for _ in 0..120 {
        order_of(store, variant, "tok_requires_action").await;
    }
    work_until_none(&shop.database, "SELECT COUNT(*) FROM payments WHERE attempts = 0").await;
}

on_both_engines!(every_log_in_that_ended_is_cleared_away);
async fn every_log_in_that_ended_is_cleared_away(shop: &Shop) {
    let user_id = shop.customer().await;
    let filled: Result<(), DatabaseError> = shop
        .database
        .write_boxed(move |work| {
            Box::pin(async move {
                let now = work.now();
                for number in 0..2_500_u32 {
                    let token_hash = number.to_be_bytes().to_vec();
                    let session = Session { token_hash, user_id, created_at: now, expires_at: now };
                    work.insert(&session).await?;
                }
                Ok(())
            })
        })
        .await;
    filled.unwrap();
    work_until_none(&shop.database, "SELECT COUNT(*) FROM sessions").await;
}
