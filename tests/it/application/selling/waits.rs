//! Two who change the same at once: whoever had to wait looks again.

use undercroft::application::idempotency::Responder;
use undercroft::application::selling::cart::merge;
use undercroft::infrastructure::repositories::{
    CartRepository, Engine, IdempotencyRepository, UnitOfWork, Work,
};

use super::*;

/// Does the first and, while it is not committed yet (where that is possible), begins the second.
async fn overlap<T, F, S>(database: &Database, first: F, second: S) -> T
where
    T: Send + 'static,
    F: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, (), Failure> + Clone + Send + Sync + 'static,
    S: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, T, Failure> + Send + Sync + 'static,
{
    let waits = database.engine() == Engine::Postgres;
    let one = {
        let database = database.clone();
        tokio::spawn(async move {
            database
                .write_boxed(move |work| {
                    let first = first.clone();
                    Box::pin(async move {
                        first(work).await?;
                        if waits {
                            tokio::time::sleep(Duration::from_millis(300)).await;
                        }
                        Ok::<_, Failure>(())
                    })
                })
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second: Result<T, Failure> = database.write_boxed(second).await;
    one.await.unwrap().unwrap();
    second.unwrap()
}

fn logs_in(
    user_id: UserId,
    guest: CartId,
) -> impl for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, (), Failure> + Clone + Send + Sync + 'static {
    move |work| Box::pin(async move { merge(work, &policy(), user_id, guest).await })
}

/// Clears away carts and keys that expire within the hour; how many of each.
fn purge(work: &mut UnitOfWork) -> Work<'_, [u64; 2], Failure> {
    Box::pin(async move {
        let later = work.now() + SignedDuration::from_hours(1);
        let carts = CartRepository::purge(work, later, 10).await?;
        Ok([carts, IdempotencyRepository(work).purge(later, 10).await?])
    })
}

/// Keeps carts and keys for another week.
fn renew(work: &mut UnitOfWork) -> Work<'_, (), Failure> {
    Box::pin(async move {
        let next_week = work.now() + SignedDuration::from_hours(24 * 7);
        for table in ["carts", "idempotency_keys"] {
            let sql = format!("UPDATE {table} SET expires_at = $1");
            work.execute(&sql, &[next_week.into()]).await?;
        }
        Ok(())
    })
}

on_both_engines!(a_guests_cart_goes_to_the_first_login);
async fn a_guests_cart_goes_to_the_first_login(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    let guest = cart(store, None, &[(variant, 1)]).await;
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    overlap(&shop.database, logs_in(ann, guest), logs_in(ben, guest)).await;
    let owner = "SELECT user_id FROM carts WHERE id = $1";
    assert_eq!(value::<UserId>(&shop.database, owner, &[guest.into()]).await, ann);
}

on_both_engines!(rows_renewed_during_a_purge_stay);
async fn rows_renewed_during_a_purge_stay(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    let id = cart(store, None, &[(variant, 2)]).await;
    let request = checkout(store, purchase(id, "tok_declined"), Responder::new(Some(key("k")), Plain));
    assert_eq!(told(&request.await).0, 402);
    let expired: &'static [_] = &[
        "UPDATE carts SET expires_at = created_at",
        "UPDATE idempotency_keys SET expires_at = locked_until",
    ];
    execute(&shop.database, expired).await;
    assert_eq!(overlap(&shop.database, renew, purge).await, [0, 0]);
    execute(&shop.database, expired).await;
    assert_eq!(shop.database.write_boxed(purge).await.unwrap(), [1, 1]);
}
