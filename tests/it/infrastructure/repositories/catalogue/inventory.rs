//! Stock: never more reserved than there is, also in concurrent transactions.

use std::future::Future;

use undercroft::domain::ids::{OrderId, VariantId};
use undercroft::domain::product::Stock;
use undercroft::infrastructure::repositories::{DatabaseError, InventoryRepository, ReserveError, StockSet};

use super::{insert, product};
use crate::support::{Shop, ShopOptions};

fn order(shop: &Shop) -> OrderId {
    OrderId(shop.database.context().ids.uuid())
}

/// Variants of one product with this stock each, in the order of their ids.
async fn variants<const N: usize>(shop: &Shop, stock: i64) -> [VariantId; N] {
    let product = product(shop, "Thing", &[100; N]);
    insert(shop, &product).await.unwrap();
    let mut ids: Vec<_> = product.variants.iter().map(|variant| variant.id).collect();
    ids.sort();
    for &id in &ids {
        set(shop, id, stock, None).await.unwrap();
    }
    ids.try_into().unwrap()
}

async fn reserve(
    shop: &Shop,
    order: OrderId,
    lines: &[(VariantId, i64)],
) -> Result<Vec<VariantId>, ReserveError> {
    let reserve = shop.database.write((order, lines.to_vec()), async |work, (order, lines)| {
        InventoryRepository::reserve(work, *order, lines).await
    });
    reserve.await
}

async fn sell(shop: &Shop, order: OrderId) {
    let sold = shop.database.write(order, async |work, &order| InventoryRepository::sell(work, order).await);
    sold.await.unwrap();
}

async fn release(shop: &Shop, order: OrderId) {
    let release =
        shop.database.write(order, async |work, &order| InventoryRepository::release(work, order).await);
    release.await.unwrap();
}

async fn set(
    shop: &Shop,
    variant: VariantId,
    stock: impl Into<Option<i64>>,
    expected: Option<i64>,
) -> Result<StockSet, DatabaseError> {
    let stock = stock.into();
    let set = shop.database.write((variant, stock, expected), async |work, &(variant, stock, expected)| {
        InventoryRepository::set_stock(work, variant, stock, expected).await
    });
    set.await
}

async fn stock(shop: &Shop, variant: VariantId) -> Stock {
    let mut connection = shop.database.read().await.unwrap();
    InventoryRepository(&mut connection).stocks(&[variant]).await.unwrap()[&variant]
}

/// `(stock, reserved)`.
async fn levels(shop: &Shop, variant: VariantId) -> (i64, i64) {
    let stock = stock(shop, variant).await;
    (stock.stock.unwrap(), stock.reserved)
}

/// Pieces that an order has reserved.
async fn reserved_for(shop: &Shop, order: OrderId) -> i64 {
    let sql = "SELECT CAST(COALESCE(SUM(quantity), 0) AS BIGINT) FROM reservations WHERE order_id = $1";
    crate::support::store::value(&shop.database, sql, &[order.into()]).await
}

/// Runs `act` concurrently; returns all outcomes.
async fn concurrently<T, Fut>(times: usize, act: impl Fn(usize) -> Fut) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..times).map(|i| tokio::spawn(act(i))).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

on_both_engines!(
    sixty_four_buyers_of_ten_pieces_get_exactly_ten,
    ShopOptions::default().unchecked("the reservations have no orders")
);
async fn sixty_four_buyers_of_ten_pieces_get_exactly_ten(shop: &Shop) {
    let [variant] = variants(shop, 10).await;
    let outcomes = concurrently(64, |_| {
        let shop = shop.clone();
        async move { reserve(&shop, order(&shop), &[(variant, 1)]).await }
    })
    .await;
    let depleted =
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(gone) if *gone == [variant])).count();
    let sold = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(ReserveError::OutOfStock { available: 0, .. })));
    assert_eq!((sold, depleted, refused.count()), (10, 1, 54));
    assert_eq!(levels(shop, variant).await, (10, 10));
}

on_both_engines!(
    lines_of_the_same_variant_count_together,
    ShopOptions::default().unchecked("the reservations have no orders")
);
async fn lines_of_the_same_variant_count_together(shop: &Shop) {
    let [variant] = variants(shop, 10).await;
    let refused = reserve(shop, order(shop), &[(variant, 6), (variant, 5)]).await;
    assert!(matches!(refused, Err(ReserveError::OutOfStock { available: 10, .. })), "{refused:?}");
    let outcomes = concurrently(8, |_| {
        let shop = shop.clone();
        async move { reserve(&shop, order(&shop), &[(variant, 2), (variant, 1)]).await.is_ok() }
    })
    .await;
    assert_eq!(outcomes.into_iter().filter(|&sold| sold).count(), 3);
    assert_eq!(levels(shop, variant).await, (10, 9));
}

on_both_engines!(an_order_that_lacks_one_variant_reserves_none);
async fn an_order_that_lacks_one_variant_reserves_none(shop: &Shop) {
    let [first, second] = variants(shop, 3).await;
    set(shop, second, 1, None).await.unwrap();
    let id = order(shop);
    let refused = reserve(shop, id, &[(second, 2), (first, 3)]).await;
    match refused {
        Err(ReserveError::OutOfStock { variant_id, available }) => {
            assert_eq!((variant_id, available), (second, 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(levels(shop, first).await, (3, 0));
    assert_eq!(reserved_for(shop, id).await, 0, "no reservation is left behind");
    let unknown = reserve(shop, order(shop), &[(VariantId(order(shop).0), 1)]).await;
    assert!(matches!(unknown, Err(ReserveError::OutOfStock { available: 0, .. })), "{unknown:?}");
}

on_both_engines!(
    orders_that_name_the_same_variants_in_any_order_do_not_block_each_other,
    ShopOptions::default().unchecked("the reservations have no orders")
);
async fn orders_that_name_the_same_variants_in_any_order_do_not_block_each_other(shop: &Shop) {
    let all: [VariantId; 20] = variants(shop, 1_000).await;
    let outcomes = concurrently(32, |i| {
        let shop = shop.clone();
        async move {
            let mut lines = all.map(|variant| (variant, 1));
            lines.rotate_left(i % 20);
            if i % 2 == 0 {
                lines.reverse();
            }
            let id = order(&shop);
            let reserved = reserve(&shop, id, &lines).await;
            if i % 4 == 0 {
                release(&shop, id).await;
            } else if i % 4 == 1 {
                sell(&shop, id).await;
            }
            reserved
        }
    })
    .await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(gone) if gone.is_empty())), "{outcomes:?}");
    for variant in all {
        assert_eq!(levels(shop, variant).await, (992, 16));
    }
}

on_both_engines!(a_new_stock_never_falls_below_the_reservations);
async fn a_new_stock_never_falls_below_the_reservations(shop: &Shop) {
    let [variant] = variants(shop, 10).await;
    concurrently(96, |i| {
        let shop = shop.clone();
        async move {
            let id = order(&shop);
            let wanted = i64::try_from(i % 12).unwrap();
            if i % 3 == 0 {
                set(&shop, variant, wanted, None).await.unwrap();
            } else if reserve(&shop, id, &[(variant, 1 + wanted % 4)]).await.is_ok() {
                match i % 2 {
                    0 => sell(&shop, id).await,
                    _ => release(&shop, id).await,
                }
            }
            let (stock, reserved) = levels(&shop, variant).await;
            assert!(0 <= reserved && reserved <= stock, "{reserved} of {stock} are reserved");
        }
    })
    .await;
    assert_eq!(levels(shop, variant).await.1, 0, "every reservation was settled");
}

on_both_engines!(
    a_stock_below_the_reservations_is_refused,
    ShopOptions::default().unchecked("the reservations have no orders")
);
async fn a_stock_below_the_reservations_is_refused(shop: &Shop) {
    let [variant] = variants(shop, 10).await;
    reserve(shop, order(shop), &[(variant, 4)]).await.unwrap();
    assert_eq!(set(shop, variant, 3, None).await.unwrap(), StockSet::BelowReserved { reserved: 4 });
    assert_eq!(set(shop, variant, -1, None).await.unwrap(), StockSet::BelowReserved { reserved: 4 });
    let outcome = set(shop, variant, 4, None).await.unwrap();
    assert!(matches!(outcome, StockSet::Done(stock) if stock.available() == Some(0)), "{outcome:?}");
    assert_eq!(set(shop, VariantId(order(shop).0), 4, None).await.unwrap(), StockSet::NoSuchVariant);
}

on_both_engines!(a_stock_counted_before_a_sale_is_stale);
async fn a_stock_counted_before_a_sale_is_stale(shop: &Shop) {
    let [variant] = variants(shop, 10).await;
    let seen = stock(shop, variant).await.version;
    let id = order(shop);
    reserve(shop, id, &[(variant, 4)]).await.unwrap();
    let after = Stock { stock: Some(12), reserved: 4, version: seen + 1 };
    assert_eq!(set(shop, variant, 12, Some(seen)).await.unwrap(), StockSet::Done(after));
    sell(shop, id).await;
    assert_eq!(set(shop, variant, 20, Some(seen + 1)).await.unwrap(), StockSet::Changed);
    assert_eq!(levels(shop, variant).await, (8, 0));
}

on_both_engines!(
    a_reservation_is_sold_or_released_once,
    ShopOptions::default().unchecked("the reservations have no orders")
);
async fn a_reservation_is_sold_or_released_once(shop: &Shop) {
    let [first, second] = variants(shop, 10).await;
    let (sold, released, contested) = (order(shop), order(shop), order(shop));
    for id in [sold, released] {
        reserve(shop, id, &[(first, 3), (second, 5)]).await.unwrap();
    }
    for _ in 0..2 {
        release(shop, released).await;
    }
    for _ in 0..2 {
        sell(shop, sold).await;
        sell(shop, released).await;
        release(shop, sold).await;
    }
    assert_eq!((levels(shop, first).await, levels(shop, second).await), ((7, 0), (5, 0)));

    reserve(shop, contested, &[(first, 2), (second, 2)]).await.unwrap();
    reserve(shop, order(shop), &[(first, 5), (second, 3)]).await.unwrap();
    concurrently(16, |_| {
        let shop = shop.clone();
        async move { sell(&shop, contested).await }
    })
    .await;
    assert_eq!((levels(shop, first).await, levels(shop, second).await), ((5, 5), (3, 3)));
}

on_both_engines!(returned_pieces_can_be_sold_again);
async fn returned_pieces_can_be_sold_again(shop: &Shop) {
    let [full, empty] = variants(shop, 4).await;
    set(shop, empty, 0, None).await.unwrap();
    let gone = VariantId(order(shop).0);
    let returned = [(full, 1), (empty, 1), (empty, 1), (gone, 1)];
    let restock = shop
        .database
        .write(returned, async |work, returned| InventoryRepository::restock(work, returned).await);
    restock.await.unwrap();
    assert_eq!((levels(shop, full).await, levels(shop, empty).await), ((5, 0), (2, 0)));
}

on_both_engines!(pieces_that_are_not_counted_can_always_be_sold_and_can_be_counted_later);
async fn pieces_that_are_not_counted_can_always_be_sold_and_can_be_counted_later(shop: &Shop) {
    let [variant] = variants(shop, 1).await;
    set(shop, variant, None, None).await.unwrap();
    let not_counted = |stock: Stock, reserved| (stock.stock, stock.reserved) == (None, reserved);
    let (sold, released) = (order(shop), order(shop));
    for id in [sold, released] {
        assert_eq!(reserve(shop, id, &[(variant, 9_000)]).await.unwrap(), [], "it is not depleted");
    }
    assert!(not_counted(stock(shop, variant).await, 18_000));

    let outcome = set(shop, variant, 17_999, None).await.unwrap();
    assert_eq!(outcome, StockSet::BelowReserved { reserved: 18_000 });
    release(shop, released).await;
    sell(shop, sold).await;
    let returned = [(variant, 5)];
    let restock = shop
        .database
        .write(returned, async |work, returned| InventoryRepository::restock(work, returned).await);
    restock.await.unwrap();
    assert!(not_counted(stock(shop, variant).await, 0));

    set(shop, variant, 2, None).await.unwrap();
    assert!(reserve(shop, order(shop), &[(variant, 3)]).await.is_err());
}
