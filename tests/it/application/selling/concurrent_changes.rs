//! Two concurrent changes of the same rows: the second one waits for the lock and reads the committed row.

use std::time::Duration;

use jiff::SignedDuration;
use undercroft::application::selling::cart::merge;
use undercroft::domain::ids::{CartId, UserId};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{
    CartRepository, Database, Engine, IdempotencyRepository, UnitOfWork,
};

use crate::support::Shop;
use crate::support::orders::{checkout_request, key, submit};
use crate::support::store::{cart, execute, terms, value};

/// A change of carts and idempotency keys.
#[derive(Clone, Copy)]
enum Change {
    LogIn { user_id: UserId, guest: CartId },
    Renew,
    Purge,
}

/// Makes a change; returns the numbers of deleted carts and keys.
async fn make(work: &mut UnitOfWork, change: Change) -> Result<[u64; 2], Failure> {
    match change {
        Change::LogIn { user_id, guest } => merge(work, &terms(), user_id, guest).await.map(|()| [0, 0]),
        Change::Renew => renew(work).await.map(|()| [0, 0]),
        Change::Purge => purge(work).await,
    }
}

/// Makes the first change and, before it is committed on PostgreSQL, begins the second; returns the second's result.
async fn overlap(database: &Database, first: Change, second: Change) -> [u64; 2] {
    let one = {
        let database = database.clone();
        let first = async move {
            let done: Result<(), Failure> = database
                .write(first, async |work, &first| {
                    make(work, first).await?;
                    if work.engine() == Engine::Postgres {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    Ok(())
                })
                .await;
            done.unwrap();
        };
        tokio::spawn(first)
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = database.write(second, async |work, &second| make(work, second).await).await;
    one.await.unwrap();
    second.unwrap()
}

/// Deletes carts and keys that expire within the hour; returns the number of each.
async fn purge(work: &mut UnitOfWork) -> Result<[u64; 2], Failure> {
    let later = work.now() + SignedDuration::from_hours(1);
    let carts = CartRepository::purge(work, later, 10).await?;
    Ok([carts, IdempotencyRepository(work).purge(later, 10).await?])
}

/// Sets the expiry of all carts and keys to a week from now.
async fn renew(work: &mut UnitOfWork) -> Result<(), Failure> {
    let next_week = work.now() + SignedDuration::from_hours(24 * 7);
    for table in ["carts", "idempotency_keys"] {
        let sql = format!("UPDATE {table} SET expires_at = $1");
        work.execute(&sql, &[next_week.into()]).await?;
    }
    Ok(())
}

on_both_engines!(a_guests_cart_is_merged_at_the_first_login);
async fn a_guests_cart_is_merged_at_the_first_login(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    let guest = cart(store, None, &[(variant, 1)]).await;
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let log_in = |user_id| Change::LogIn { user_id, guest };
    overlap(&shop.database, log_in(ann), log_in(ben)).await;
    let owner = "SELECT user_id FROM carts WHERE id = $1";
    assert_eq!(value::<UserId>(&shop.database, owner, &[guest.into()]).await, ann);
}

on_both_engines!(an_ordered_cart_expires_unless_its_order_is_pending);
async fn an_ordered_cart_expires_unless_its_order_is_pending(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    let mut carts = Vec::new();
    for token in ["tok_ok", "tok_requires_action"] {
        let id = cart(store, None, &[(variant, 1)]).await;
        assert_eq!(submit(store, checkout_request(id, token), None).await.0, 201);
        carts.push(id);
    }
    execute(&shop.database, &["UPDATE carts SET expires_at = created_at"]).await;
    let [purged, _] = shop.database.write((), async |work, ()| purge(work).await).await.unwrap();
    assert_eq!(purged, 1);
    assert_eq!(value::<CartId>(&shop.database, "SELECT id FROM carts", &[]).await, carts[1]);
}

on_both_engines!(rows_renewed_during_a_purge_are_not_deleted);
async fn rows_renewed_during_a_purge_are_not_deleted(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    let id = cart(store, None, &[(variant, 2)]).await;
    let declined = submit(store, checkout_request(id, "tok_declined"), Some(key("k"))).await;
    assert_eq!(declined.0, 402);
    let expired: &'static [_] = &[
        "UPDATE carts SET expires_at = created_at",
        "UPDATE idempotency_keys SET expires_at = locked_until",
    ];
    execute(&shop.database, expired).await;
    assert_eq!(overlap(&shop.database, Change::Renew, Change::Purge).await, [0, 0]);
    execute(&shop.database, expired).await;
    assert_eq!(shop.database.write((), async |work, ()| purge(work).await).await.unwrap(), [1, 1]);
}
