//! Concurrent checkouts and payment operations: as many succeed as stock, captured amount, discounts and keys allow.

use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{OperationKind, PaymentStatus};
use undercroft::infrastructure::repositories::{DatabaseError, IdempotencyKey, InventoryRepository};

use crate::support::orders::{Sale, assert_consistent, check_out, checkout_request, key, stock, submit};
use crate::support::store::{cart, execute, manual_capture, value};
use crate::support::{Shop, ShopOptions};

on_both_engines!(of_64_buyers_10_get_the_10_pieces);
async fn of_64_buyers_10_get_the_10_pieces(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(10).create().await;
    let mut buyers = Vec::new();
    for _ in 0..64 {
        let cart = cart(store, None, &[(variant, 1)]).await;
        let store = store.clone();
        buyers.push(tokio::spawn(async move { check_out(&store, cart, "tok_ok").await }));
    }
    let (mut sold, mut refused) = (0, 0);
    for buyer in buyers {
        match buyer.await.unwrap() {
            (201, _) => sold += 1,
            (409, code) if code == "product_out_of_stock" => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((sold, refused), (10, 54));
    assert_eq!(stock(&shop.database, variant).await, (0, 0));
    assert_consistent(&shop.database).await;
}

on_both_engines!(stock_restocked_during_sales_is_never_oversold);
async fn stock_restocked_during_sales_is_never_oversold(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    let mut buyers = Vec::new();
    for i in 0..40 {
        let cart = cart(store, None, &[(variant, 1)]).await;
        let (store, database) = (store.clone(), shop.database.clone());
        buyers.push(tokio::spawn(async move {
            if i % 10 == 5 {
                let set: Result<_, DatabaseError> = database
                    .write(variant, async |work, &variant| {
                        InventoryRepository::restock(work, &[(variant, 2)]).await
                    })
                    .await;
                set.unwrap();
            }
            check_out(&store, cart, "tok_ok").await.0
        }));
    }
    let mut sold = 0;
    for buyer in buyers {
        sold += i64::from(buyer.await.unwrap() == 201);
    }
    let (left, reserved) = stock(&shop.database, variant).await;
    assert_eq!((sold + left, reserved), (5 + 4 * 2, 0));
    assert_consistent(&shop.database).await;
}

on_both_engines!(one_idempotency_key_is_one_order_and_one_response);
async fn one_idempotency_key_is_one_order_and_one_response(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(100).create().await;
    let cart = cart(store, None, &[(variant, 2)]).await;
    let requests = (0..50).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { submit(&store, checkout_request(cart, "tok_ok"), Some(key("k"))).await })
    });
    let mut responses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        responses.push(request.await.unwrap());
    }
    let expected = submit(store, checkout_request(cart, "tok_ok"), Some(key("k"))).await;
    assert_eq!(expected.0, 201);
    for response in responses {
        assert!(response == expected || response == (409, "idempotency_in_progress".into()), "{response:?}");
    }
    let reused = IdempotencyKey { request_hash: b"another".to_vec(), ..key("k") };
    let reused = submit(store, checkout_request(cart, "tok_ok"), Some(reused)).await;
    assert_eq!(reused, (422, "idempotency_key_reused".into()));
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM orders", &[]).await, 1);
    assert_consistent(&shop.database).await;
}

on_both_engines!(a_failure_is_stored_under_its_key_too);
async fn a_failure_is_stored_under_its_key_too(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let too_many = cart(store, None, &[(variant, 2)]).await;
    for _ in 0..2 {
        let refused = submit(store, checkout_request(too_many, "tok_ok"), Some(key("a"))).await;
        assert_eq!(refused, (409, "product_out_of_stock".into()));
    }
    let declined = cart(store, None, &[(variant, 1)]).await;
    for _ in 0..2 {
        let refused = submit(store, checkout_request(declined, "tok_declined"), Some(key("b"))).await;
        assert_eq!(refused, (402, "payment_failed".into()));
    }
    assert_eq!(stock(&shop.database, variant).await, (1, 0));
    // The cart is open again for another card.
    assert_eq!(check_out(store, declined, "tok_ok").await.0, 201);
    assert_consistent(&shop.database).await;
}

/// Runs an operation 32 times concurrently; returns the number of successes.
async fn run_32_times(sale: &Sale, kind: OperationKind, amount: i64) -> usize {
    let operations = (0..32).map(|_| {
        let sale = sale.clone();
        tokio::spawn(async move { sale.run(kind, Some(amount)).await.0 })
    });
    let mut succeeded = 0;
    for operation in operations.collect::<Vec<_>>() {
        succeeded += usize::from(operation.await.unwrap() == 201);
    }
    succeeded
}

on_both_engines!(of_32_refunds_of_60_of_100_one_succeeds);
async fn of_32_refunds_of_60_of_100_one_succeeds(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(10_000).stock(1).create().await;
    let sale = Sale::of(store, variant, "tok_ok").await;
    assert_eq!(run_32_times(&sale, OperationKind::Refund, 6000).await, 1);
    let placed = sale.order().await;
    assert_eq!(
        (placed.payment.captured.amount, placed.payment.refunded.amount, placed.payment.refunding.amount),
        (10_000, 6000, 0)
    );
    assert_eq!(run_32_times(&sale, OperationKind::Refund, 4000).await, 1);
    assert_eq!(sale.order().await.order.status, OrderStatus::Refunded);
    sale.check().await;
}

on_both_engines!(of_32_captures_of_60_of_100_one_succeeds, ShopOptions::default().terms(manual_capture()));
async fn of_32_captures_of_60_of_100_one_succeeds(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(10_000).stock(1).create().await;
    let sale = Sale::of(store, variant, "tok_ok").await;
    assert_eq!(sale.payment().await.status, PaymentStatus::Authorized);
    assert_eq!(run_32_times(&sale, OperationKind::Capture, 6000).await, 1);
    let placed = sale.order().await;
    assert_eq!((placed.payment.captured.amount, placed.payment.capturing.amount), (6000, 0));
    assert_eq!(run_32_times(&sale, OperationKind::Refund, 6001).await, 0);
    sale.check().await;
}

on_both_engines!(a_discount_with_one_use_left_is_redeemed_once);
async fn a_discount_with_one_use_left_is_redeemed_once(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(100).create().await;
    shop.discount("ONCE", 10, Some(1)).await;
    let mut carts = Vec::new();
    for _ in 0..32 {
        carts.push(cart(store, None, &[(variant, 1)]).await);
    }
    execute(&shop.database, &["UPDATE carts SET discount_code = 'once'"]).await;
    let buyers = carts.into_iter().map(|cart| {
        let store = store.clone();
        tokio::spawn(async move { check_out(&store, cart, "tok_ok").await })
    });
    let mut bought = 0;
    for buyer in buyers.collect::<Vec<_>>() {
        match buyer.await.unwrap() {
            (201, _) => bought += 1,
            (422, code) => assert_eq!(code, "invalid_discount_code"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bought, 1);
    let paid = "SELECT CAST(SUM(total) AS BIGINT) FROM orders WHERE status = 'paid'";
    assert_eq!(value::<i64>(&shop.database, paid, &[]).await, 900);
    assert_consistent(&shop.database).await;
}
